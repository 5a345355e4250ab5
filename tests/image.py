"""Gives an image that `docker save` writes the times of its commit, so that the same programs are the same image."""

import hashlib
import io
import json
import sys
import tarfile
from datetime import datetime, timezone

epoch = int(sys.argv[1])
created = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
source = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))
[image] = json.load(source.extractfile("manifest.json"))
config = json.load(source.extractfile(image["Config"]))
# Of the container in which the builder worked, of the builder, and of the step before the last, whose id has the time in it.
for key in ("container", "container_config", "docker_version"):
    config.pop(key, None)
config["config"].pop("Image", None)
config["created"] = created
for step in config["history"]:
    step["created"] = created
files = {}
for number, layer in enumerate(image["Layers"]):
    files[f"layer{number}.tar"] = source.extractfile(layer).read()
content = json.dumps(config, sort_keys=True).encode()
name = hashlib.sha256(content).hexdigest() + ".json"
manifest = [{"Config": name, "RepoTags": image["RepoTags"], "Layers": list(files)}]
files |= {name: content, "manifest.json": json.dumps(manifest).encode()}
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.USTAR_FORMAT) as out:
    for name, content in files.items():
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = len(content), epoch
        out.addfile(entry, io.BytesIO(content))
