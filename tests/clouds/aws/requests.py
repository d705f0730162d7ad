"""Accepted requests for AWS, as the tests need them."""

from provisioner.model.accepted import (
    Accepted,
    AcceptedHost,
    AcceptedImage,
    AcceptedOsImage,
    AcceptedPool,
)

CID = "demo-abc234"
RUN = "20261124T180000Z-aaaaaa"


def accepted(image, *, masters=1, nodes=0, region="eu-central-1", **more):
    """A request of small machines; `more` are fields of Accepted."""
    counts = {"master": masters, "node": nodes}
    pools = [
        AcceptedPool(name=name, roles=(name,), count=count, instance_types=("t3.medium",), system_disk=10)
        for name, count in counts.items()
        if count
    ]
    names = [(name, f"{name[0]}{n + 1}") for name, count in counts.items() for n in range(count)]
    hosts = [AcceptedHost(name=h, pool=p, roles=(p,), slot=i) for i, (p, h) in enumerate(names)]
    fields = {
        "cluster": "demo",
        "provider": "aws",
        "image": AcceptedImage(reference="app:v1", repository="app", digest="sha256:" + "0" * 64),
        "pools": tuple(pools),
        "hosts": tuple(hosts),
        "data_root": "/var/lib/sealer/data",
        "region": region,
        "os_image": AcceptedOsImage(id=image),
    }
    return Accepted(**{**fields, **more})


def chosen(driver, request, standing=frozenset(), refused=()):
    """The request with its machines chosen."""
    choice = driver.choose(request, CID, refused, standing=frozenset(standing))
    return request.model_copy(update={"placement": choice.placement})
