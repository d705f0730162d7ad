"""`aws:ec2/instance:Instance`.

A file `die` in the folder that AWS_SIM_DIR names makes the plugin die right after it made an instance, before the engine
hears of it.
"""

import base64
import os
from pathlib import Path

from tests.clouds.aws.plugin.kinds import Kind, retag, tag_list, tag_map

GONE = ("terminated", "shutting-down")


class Instance(Kind):
    token = "aws:ec2/instance:Instance"
    replaces = ("ami", "subnetId", "instanceMarketOptions", "associatePublicIpAddress", "ebsBlockDevices", "keyName")
    made = ("arn", "publicIp", "privateIp", "instanceState", "primaryNetworkInterfaceId")
    blind = (
        "associatePublicIpAddress",
        "ebsBlockDevices",
        "instanceInitiatedShutdownBehavior",
        "instanceMarketOptions",
        "rootBlockDevice",
        "userDataBase64",
        "volumeTags",
    )

    def create(self, inputs):
        id_ = self.ec2.run_instances(**_wanted(inputs))["Instances"][0]["InstanceId"]
        folder = os.environ.get("AWS_SIM_DIR")
        if folder and Path(folder, "die").exists():
            Path(folder, "die").unlink()
            os._exit(9)
        self.ec2.get_waiter("instance_running").wait(InstanceIds=[id_], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        return id_

    def look(self, id_):
        raw = self._one("describe_instances", "Reservations", InstanceIds=[id_])
        machine = raw and raw["Instances"][0]
        if not machine or machine["State"]["Name"] in GONE:
            return None
        meta = machine.get("MetadataOptions") or {}
        return {
            "ami": machine["ImageId"],
            "instanceType": machine["InstanceType"],
            "subnetId": machine["SubnetId"],
            "vpcSecurityGroupIds": sorted(g["GroupId"] for nic in machine["NetworkInterfaces"] for g in nic["Groups"]),
            "metadataOptions": {
                "httpEndpoint": meta.get("HttpEndpoint", "enabled"),
                "httpTokens": meta.get("HttpTokens"),
                "httpPutResponseHopLimit": meta.get("HttpPutResponseHopLimit", 1),
            },
            "tags": tag_map(machine),
            "privateIp": machine["PrivateIpAddress"],
            "publicIp": machine.get("PublicIpAddress", ""),
            "instanceState": machine["State"]["Name"],
        }

    def update(self, id_, old, new):
        retag(self.ec2, id_, old.get("tags"), new.get("tags"))
        behaviour = new.get("instanceInitiatedShutdownBehavior")
        if behaviour and behaviour != old.get("instanceInitiatedShutdownBehavior"):
            self.ec2.modify_instance_attribute(InstanceId=id_, InstanceInitiatedShutdownBehavior={"Value": behaviour})
        if new.get("instanceType") != old.get("instanceType"):
            self.ec2.stop_instances(InstanceIds=[id_])
            self.ec2.modify_instance_attribute(InstanceId=id_, InstanceType={"Value": new["instanceType"]})
            self.ec2.start_instances(InstanceIds=[id_])

    def delete(self, id_):
        self.ec2.terminate_instances(InstanceIds=[id_])


def _wanted(inputs):
    spot = inputs.get("instanceMarketOptions") or {}
    disks = [("/dev/sda1", inputs.get("rootBlockDevice") or {})]
    disks += [(disk["deviceName"], disk) for disk in inputs.get("ebsBlockDevices") or ()]
    meta = inputs.get("metadataOptions") or {}
    marks = [("instance", inputs.get("tags")), ("volume", inputs.get("volumeTags"))]
    wanted = {
        "ImageId": inputs["ami"],
        "InstanceType": inputs["instanceType"],
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": base64.b64decode(inputs.get("userDataBase64") or "").decode(),
        "InstanceInitiatedShutdownBehavior": inputs.get("instanceInitiatedShutdownBehavior", "stop"),
        "MetadataOptions": {
            "HttpEndpoint": meta.get("httpEndpoint", "enabled"),
            "HttpTokens": meta.get("httpTokens", "optional"),
            "HttpPutResponseHopLimit": int(meta.get("httpPutResponseHopLimit", 1)),
        },
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": inputs["subnetId"],
                "Groups": inputs["vpcSecurityGroupIds"],
                "AssociatePublicIpAddress": bool(inputs.get("associatePublicIpAddress")),
            }
        ],
        "BlockDeviceMappings": [_disk(name, disk) for name, disk in disks if disk],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tag_list(tags)} for kind, tags in marks if tags],
    }
    return {**wanted, "InstanceMarketOptions": _market(spot)} if spot else wanted


def _disk(name, disk):
    ebs = {
        "VolumeSize": int(disk["volumeSize"]),
        "VolumeType": disk["volumeType"],
        "DeleteOnTermination": bool(disk.get("deleteOnTermination", True)),
    }
    return {"DeviceName": name, "Ebs": ebs}


def _market(spot):
    options = spot.get("spotOptions") or {}
    given = {"MaxPrice": options.get("maxPrice"), "SpotInstanceType": options.get("spotInstanceType")}
    return {"MarketType": spot["marketType"], "SpotOptions": {key: value for key, value in given.items() if value}}
