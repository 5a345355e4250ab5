"""Writes a bill of materials (CycloneDX 1.5) of both programs from what `cargo metadata` says."""

import json
import sys

metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
roots = [i for i, p in packages.items() if p["name"] in ("logstash-mesos-scheduler", "logstash-mesos-executor")]


def linked(node):
    """What a package needs to run; not what its tests need, nor what builds it."""
    return sorted(d["pkg"] for d in node["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"]))


reached, pending = set(), list(roots)
while pending:
    package = pending.pop()
    if package not in reached:
        reached.add(package)
        pending += linked(nodes[package])


def purl(package):
    return f"pkg:cargo/{packages[package]['name']}@{packages[package]['version']}"


def component(package):
    about = packages[package]
    described = {"type": "library", "bom-ref": purl(package), "name": about["name"], "version": about["version"], "purl": purl(package)}
    if about["license"]:
        described["licenses"] = [{"expression": about["license"].replace("/", " OR ")}]
    return described


order = sorted(reached, key=purl)
json.dump(
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "logstash-mesos", "name": "logstash-mesos", "version": sys.argv[1]}},
        "components": [component(package) for package in order],
        "dependencies": [{"ref": "logstash-mesos", "dependsOn": sorted(map(purl, roots))}]
        + [{"ref": purl(package), "dependsOn": sorted({purl(d) for d in linked(nodes[package])})} for package in order],
    },
    sys.stdout,
    indent=1,
)
