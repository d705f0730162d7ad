"""A simulated AWS: moto's server in this process, its instances real hosts where a test asks for them.

`refusals` are scripted: {zone, type, spot, code, action}; a rule without a key holds for every value of it. While
`lingers()` is true, machines that were ended are on their way out.
"""

import base64
import contextlib
import logging
import os
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import boto3
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.route_tables import Route
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server

from drivers.aws.driver import PLUGIN, AwsDriver
from drivers.aws.sweep import Waiting
from provisioner.model.driver import Surroundings
from tests.clouds.aws.gate import ACCOUNT, HANDS, Gate

ROOT = Path(__file__).resolve().parents[3]
REGION = "eu-central-1"
ZONES = tuple(f"{REGION}{letter}" for letter in "abc")
KEY, SECRET = "AKIASIMULATED0000001", "simulated-secret-canary-6b1f"


class Clock:
    """Time that passes by being slept away."""

    def __init__(self):
        self.pauses = []

    def sleep(self, seconds):
        self.pauses.append(seconds)

    def monotonic(self):
        return sum(self.pauses)


class Lingering:
    """Terminated, or still on its way there while the cloud says so; moto cannot set it any more."""

    def __init__(self, cloud):
        self._cloud = cloud

    name = property(lambda self: "shutting-down" if self._cloud.lingers() else "terminated", lambda *_: None)
    code = property(lambda self: 32 if self._cloud.lingers() else 48, lambda *_: None)


class Cloud:
    """One test's account. `hosts` (a RealHosts) makes every instance a real host."""

    def __init__(self, moto, folder, hosts=None):
        self.url = moto.url
        self.gate = moto.gate
        self.folder = folder
        self.hosts = hosts
        self.refusals = []
        self.lingers = lambda: False
        self.addresses = {}
        self.running = {}
        self.calls = []
        self.plugins = _plugin_folder(folder)

    @property
    def environ(self):
        """What a user of this account would have set."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_SIM_DIR": str(self.folder),
            "SEALER_CLOUD_PLUGIN_AWS_DIR": str(self.plugins),
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
        }

    def driver(self, *, clock=None, **more):
        """The driver as this user; a name without a value is not set. Its waits pass on `clock`, else not at all."""
        environ = {key: value for key, value in {**self.environ, **more}.items() if value}
        around = Surroundings(environ=environ, cache_dir=self.folder / "cache", now=lambda: datetime.now(UTC))
        waiting = Waiting(clock.monotonic, clock.sleep) if clock else Waiting(sleep=lambda _: None)
        return AwsDriver(around, waiting=waiting, attempts=1)

    def client(self, region=REGION, key=HANDS):
        return boto3.client(
            "ec2",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key="any",
        )

    def image(self):
        return self.client().describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]

    def machines(self, *states, region=REGION, cluster=""):
        """Living instances (of a cluster), by host name (or id)."""
        where = [{"Name": "instance-state-name", "Values": [*(states or ("pending", "running", "stopped"))]}]
        where += [{"Name": "tag:sealer-cloud:cluster", "Values": [cluster]}] * bool(cluster)
        found = self.client(region).describe_instances(Filters=where)["Reservations"]
        machines = [m for batch in found for m in batch["Instances"]]
        return {_tags(m).get("sealer-cloud:host", m["InstanceId"]): m for m in machines}

    def shut_down(self):
        """Have machines that turned themselves off terminated or stopped, as they were made to be; their ids."""
        off = [id_ for id_ in [*self.addresses] if self.hosts.is_off(id_)]
        for id_ in off:
            machine = ec2_backends[ACCOUNT][REGION].get_instance(id_)
            ends = machine.instance_initiated_shutdown_behavior == "terminate"
            (machine.terminate if ends else machine.stop)()
        return off

    def standing(self, region=REGION):
        """Everything in the region that a fresh account does not have, as ids."""
        ec2 = self.client(region)
        vpcs = [v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"] if not v["IsDefault"]]
        groups = [g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"]
        gateways = [g["InternetGatewayId"] for g in ec2.describe_internet_gateways()["InternetGateways"]]
        subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"] if not s["DefaultForAz"]]
        volumes = [v["VolumeId"] for v in ec2.describe_volumes()["Volumes"]]
        machines = [m["InstanceId"] for m in self.machines().values()]
        return sorted([*vpcs, *groups, *gateways, *subnets, *volumes, *machines])


def _tags(thing):
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags") or ()}


def _plugin_folder(folder):
    """A folder with `pulumi-resource-aws`, as the official plugin's would be."""
    made = folder / "plugins"
    made.mkdir()
    script = made / PLUGIN
    script.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{ROOT}"\nexec "{sys.executable}" -m tests.clouds.aws.plugin "$@"\n'
    )
    script.chmod(0o755)
    return made


class Moto(ThreadedMotoServer):
    """Moto on a free port of loopback, behind a gate. `url` once it is started."""

    def __init__(self):
        super().__init__(ip_address="127.0.0.1", port=0, verbose=False)
        self.gate = Gate(DomainDispatcherApplication(create_backend_app))

    def _server_entry(self):
        self._server = make_server("127.0.0.1", 0, self.gate, threaded=True, request_handler=MotoRequestHandler)
        self._server_ready_event.set()
        self._server.serve_forever()

    @property
    def url(self):
        host, port = self.get_host_and_port()
        return f"http://{host}:{port}"


@contextlib.contextmanager
def server():
    """Moto, started."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = Moto()
    running.start()
    try:
        yield running
    finally:
        running.stop()


def reset(moto):
    """A fresh account."""
    moto.gate.reset()
    request = urllib.request.Request(f"{moto.url}/moto-api/reset", method="POST")
    urllib.request.urlopen(request).close()


@contextlib.contextmanager
def hooked(cloud):
    """Moto's instances obey `refusals` and, where the cloud has hosts, boot and end real ones; its routes may be dead."""
    run, terminate = InstanceBackend.run_instances, Instance.terminate
    one_at_a_time = threading.Lock()
    private, public, state = Instance.private_ip_address, Instance.public_ip_address, Route.state

    def run_instances(self, image_id, count, user_data, security_group_names, **kwargs):
        _refuse(cloud, self, kwargs)
        with one_at_a_time:  # moto gives addresses out by a generator, which two threads at once break
            made = run(self, image_id, count, user_data, security_group_names, **kwargs)
        for instance in made.instances if cloud.hosts else ():
            _boot(cloud, instance, user_data)
        return made

    def end(self):
        before = terminate(self)
        self._state = Lingering(cloud)
        if self.id in cloud.addresses:
            cloud.hosts.end(self.id)
            del cloud.addresses[self.id]
        return before

    InstanceBackend.run_instances, Instance.terminate = run_instances, end
    Route.state = property(_route_state)
    Instance.private_ip_address = property(lambda self: cloud.addresses.get(self.id) or private.fget(self))
    Instance.public_ip_address = property(
        lambda self: (public.fget(self) and cloud.addresses.get(self.id)) or public.fget(self)
    )
    try:
        yield cloud
    finally:
        InstanceBackend.run_instances, Instance.terminate = run, terminate
        Instance.private_ip_address, Instance.public_ip_address, Route.state = private, public, state


def _route_state(route):
    """As EC2 has it, where moto says `active` whatever became of the gateway."""
    lost = isinstance(route.gateway, InternetGateway) and route.gateway.vpc is None
    return "blackhole" if lost else "active"


def _boot(cloud, instance, user_data):
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    cloud.addresses[instance.id] = cloud.hosts.place(instance.id, instance.vpc_id, tags.get("sealer-cloud:host", ""))
    instance._state.name, instance._state.code = "pending", 0

    def done():
        if instance._state.name == "pending":
            instance._state.name, instance._state.code = "running", 16

    text = base64.b64decode(str(user_data)) if user_data else b""
    cloud.hosts.boot(instance.id, text, done)


def _refuse(cloud, backend, kwargs):
    subnet = next((nic.get("SubnetId") for nic in kwargs.get("nics") or ()), None) or kwargs.get("subnet_id")
    seen = {
        "zone": backend.get_subnet(subnet).availability_zone if subnet else "",
        "type": kwargs.get("instance_type"),
        "spot": bool(kwargs.get("instance_market_options")),
    }
    cloud.calls.append(seen)
    for rule in cloud.refusals:
        if all(rule.get(key, value) == value for key, value in seen.items()):
            raise EC2ClientError(rule["code"], "scripted by the test")
