"""What stands before moto: it notes every call, plays faults, and lets through what a policy allows.

The tests' own calls (`HANDS`) pass it unseen.
"""

import io
import json
import re
import socket
import threading
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from moto.ec2.models import ec2_backends

HANDS = "AKIATESTSOWNHANDS001"
ACCOUNT = "123456789012"
REGIONS = ("eu-central-1", "us-west-2")
"""What the account has enabled."""
REFUSED = "scripted by the test"
EARNEST = {"CreateVpc"}
"""What moto does though it is asked with DryRun."""
DRY = " (dry run)"
READS = ("Describe", "Get", "List")
_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_ID = re.compile(r"(?:vpc|subnet|igw|rtb|rtbassoc|sg|i|vol|sir)-[0-9a-f]{8,}")
MARKS = ("sealer-cloud:cid", "sealer-cloud:network")


@dataclass(frozen=True)
class Call:
    """One signed call as it arrived. `code` is what it was answered: empty where it was done.

    In the log the action of a dry run ends with DRY.
    """

    service: str
    action: str
    region: str
    key: str
    params: dict
    code: str = ""

    @property
    def name(self):
        """As policies name it."""
        return f"{self.service}:{self.action.removesuffix(DRY)}"

    @property
    def dry(self):
        """True for what only asks whether it would be done."""
        return self.params.get("DryRun") == "true"

    @property
    def mutates(self):
        return not self.action.startswith(READS) and not self.dry


@dataclass
class Fault:
    """Answers calls of an action ("" for every one) with an error.

    `acted` does the call before; `drop` closes the connection without an answer; `times` None: for ever. `where` is asked
    of the call; `then` is called after the call was served, before the answer goes out. One that names an action
    or asks `where` means dry runs only with `dry`.
    """

    action: str
    code: str = ""
    status: int = 400
    times: int | None = None
    acted: bool = False
    drop: bool = False
    where: object = None
    then: object = None
    dry: bool = False
    message: str = REFUSED
    hits: int = 0

    def meets(self, call):
        if (self.action or self.where) and call.dry != self.dry:
            return False
        wanted = not self.action or call.action == self.action
        return wanted and (self.times is None or self.hits < self.times) and (self.where is None or self.where(call))


@dataclass
class Gate:
    """WSGI around WSGI. `policy` is the JSON text of an IAM policy; None allows all. `hidden`: ids that no read shows.

    `accounts`: keys of other accounts, with their numbers.
    """

    app: object
    log: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    policy: str | None = None
    hidden: set = field(default_factory=set)
    accounts: dict = field(default_factory=dict)
    _made: dict = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def reset(self):
        self.log.clear()
        self.faults.clear()
        self.hidden.clear()
        self.accounts.clear()
        self._made.clear()
        self.policy = None

    def fault(self, action, code="", **more):
        self.faults.append(Fault(action, code, **more))
        return self.faults[-1]

    def mutations(self, start=0):
        return [c.action for c in self.log[start:] if c.mutates and not c.code]

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = _read(environ, body)
        if call is None or call.key == HANDS:
            return self.app(environ, start_response)
        if call.key in self.accounts:
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = self.accounts[call.key]
        with self._guard:
            rule = next((r for r in self.faults if r.meets(call)), None)
            if rule:
                rule.hits += 1
            code = "UnauthorizedOperation" if self.policy and not allowed(self.policy, call) else ""
            code = (
                code
                or (rule.code if rule else "")
                or ("DryRunOperation" if call.dry and call.action in EARNEST else "")
            )
            dropped = "dropped" if rule and rule.drop and not rule.acted else ""
            action = f"{call.action}{DRY if call.dry else ''}"
            self.log.append(Call(**{**vars(call), "action": action, "code": code or dropped}))
        answer = None
        if (rule and rule.acted) or not (code or (rule and rule.drop)):
            answer = self._served(call, environ)
        if rule and rule.then:
            rule.then()
        if rule and rule.drop:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        if code:
            answer = (
                f"{rule.status if rule else 403} Refused",
                [("Content-Type", "text/xml")],
                _error(call, code, rule.message if rule else REFUSED),
            )
        status, headers, text = answer
        headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
        start_response(status, [*headers, ("Content-Length", str(len(text)))])
        return [text]

    def _served(self, call, environ):
        """Moto's answer; the same client token has the same answer, as EC2 has it."""
        token = call.params.get("ClientToken")
        if token and token in self._made:
            return self._made[token]
        if call.service == "pricing":  # moto knows nothing of it
            return "200 OK", [("Content-Type", "application/x-amz-json-1.1")], b'{"PriceList": []}'
        told = []
        text = b"".join(self.app(environ, lambda status, headers, *_: told.append((status, headers))))
        status, headers = told[0]
        if self.hidden and call.action.startswith("Describe"):
            text = _without(text, lambda item: any(id_ in item for id_ in self.hidden))
        if call.action == "DescribeRegions":
            text = _without(text, lambda item: not any(f">{name}<" in item for name in REGIONS))
        if token and status.startswith("200"):
            self._made[token] = (status, headers, text)
        return status, headers, text


def _read(environ, body):
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not found:
        return None
    key, region, service = found.groups()
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return Call(service, target.rpartition(".")[2], region, key, json.loads(body or b"{}"))
    params = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return Call(service, params.pop("Action", ""), region, key, params)


def _error(call, code, text):
    if call.service in ("pricing", "servicequotas"):
        return json.dumps({"__type": code, "message": text}).encode()
    error = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    if call.service == "ec2":
        return f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>".encode()
    return f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>".encode()


def _without(text, hides):
    """A listing without the items that `hides` says of; the names of its XML stay as they are."""
    root = ET.fromstring(text)
    if root.tag.startswith("{"):
        ET.register_namespace("", root.tag[1:].partition("}")[0])
    for part in root:
        for item in list(part):
            if hides(ET.tostring(item, encoding="unicode")):
                part.remove(item)
    return ET.tostring(root)


def actions_of(policy):
    """Every action that a policy allows."""
    return {action for part in json.loads(policy)["Statement"] for action in part["Action"]}


def allowed(policy, call):
    """As IAM decides: some statement allows the action, and its condition holds on all that the call is about."""
    parts = [part for part in json.loads(policy)["Statement"] if call.name in part["Action"]]
    return any(all(_holds(kind, test, call) for kind, test in (part.get("Condition") or {}).items()) for part in parts)


def _holds(kind, test, call):
    marks = [key.removeprefix("aws:ResourceTag/") for key in test]
    if kind != "Null" or len(marks) != 1 or marks[0] not in MARKS:
        return False
    about = [ours for ours in map(_is_ours(call.region, marks[0]), _ids(call)) if ours is not None]
    return all(about)


def _ids(call):
    return {found for value in call.params.values() for found in _ID.findall(str(value))}


def _is_ours(region, mark):
    backend = ec2_backends[ACCOUNT][region]

    def look(id_):
        """True with the tag, False without, None for what is not there: EC2 then says so itself."""
        if id_.startswith("rtbassoc-"):
            id_ = next((t.id for t in backend.route_tables.values() if id_ in t.all_associations_ids), "")
        return mark in backend.tags.get(id_, {}) if _is_there(backend, id_) else None

    return look


def _is_there(backend, id_):
    flat = (backend.vpcs, backend.route_tables, backend.internet_gateways, backend.volumes)
    nested = (*backend.subnets.values(), *backend.groups.values())
    machines = [machine.id for batch in backend.reservations.values() for machine in batch.instances]
    return any(id_ in them for them in (*flat, *nested, machines))
