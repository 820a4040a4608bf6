"""What may still be taken of memory in containers, from files as the kernel writes them."""

from types import SimpleNamespace

import pytest

from jaxcoopt import containers
from jaxcoopt.datasets import topology
from jaxcoopt.run.memory import available

GIB, MIB = 2**30, 2**20
HOST = 20 * GIB
NO_LIMIT = 9223372036854771712  # of version 1


@pytest.fixture
def system(tmp_path, monkeypatch):
    """write(files): files below a root, by path; mounts and membership at their places."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=HOST))
    monkeypatch.setattr(containers, "MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(containers, "MOUNTS", tmp_path / "mountinfo")

    def write(membership="", mounts=(), groups=()):
        (tmp_path / "cgroup").write_text(membership)
        lines = ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw", "30 22 0:26 / /sys rw - sysfs sysfs rw"]
        for kind, root, where, options in mounts:
            lines.append(f"31 30 0:27 {root} {tmp_path}{where} rw,nosuid shared:9 master:1 - {kind} {kind} {options}")
        (tmp_path / "mountinfo").write_text("\n".join(lines) + "\n")
        for where, files in dict(groups).items():
            folder = tmp_path / where.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / name).write_text(f"{text}\n")

    return write


def v2(limit, taken, **counts):
    stat = "\n".join(f"{name} {size}" for name, size in {"anon": 50 * MIB, **counts}.items())
    return {"memory.max": limit, "memory.current": taken, "memory.stat": stat}


def v1(limit, taken, **counts):
    stat = "\n".join(f"{name} {size}" for name, size in {"cache": 1, **counts}.items())
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": taken, "memory.stat": stat}


V2, V1 = ("cgroup2", "/", "/fs", "rw"), ("cgroup", "/", "/fs/memory", "rw,memory")


@pytest.mark.fast
def test_the_page_cache_counts_as_free(system):
    """2 GiB, of which 1.8 GiB hold files that were read; shared memory is no such file."""
    taken = 2 * GIB - 150 * MIB
    cache = {"file": 1848 * MIB, "shmem": 48 * MIB, "inactive_file": 1200 * MIB, "active_file": 600 * MIB}
    system("0::/\n", [V2], {"/fs": v2(2 * GIB, taken, **cache)})
    assert available() == 2 * GIB - (taken - 1800 * MIB)


@pytest.mark.fast
def test_limits_of_the_groups_around_count(system):
    outer = v2(3 * GIB, 2 * GIB)
    groups = {"/fs/a/b": v2("max", 100 * MIB), "/fs/a": outer, "/fs": {"memory.stat": "anon 1"}}
    system("0::/a/b\n", [V2], groups)
    assert available() == 1 * GIB
    system("0::/a/b\n", [V2], groups | {"/fs/a": outer | {"memory.high": int(2.5 * GIB)}})
    assert available() == GIB // 2


@pytest.mark.fast
def test_version_1_is_seen_nested_and_from_inside(system):
    groups = {
        "/fs/memory": v1(NO_LIMIT, 9 * GIB),
        "/fs/memory/docker": v1(NO_LIMIT, 4 * GIB),
        "/fs/memory/docker/one": v1(2 * GIB, GIB, total_inactive_file=300 * MIB, total_active_file=200 * MIB),
        "/fs/memory/docker/one/in": v1(NO_LIMIT, GIB),
    }
    member = "5:cpu,cpuacct:/elsewhere\n4:memory:/docker/one/in\n1:name=systemd:/docker\n0::/\n"
    both = [V1, ("cgroup2", "/", "/fs/unified", "rw")]
    system(member, both, groups)
    assert available() == GIB + 500 * MIB
    # From inside: the mount begins at the container's group, and the membership names it from outside.
    inside = {"/fs/memory": groups["/fs/memory/docker/one"]}
    system(member, [("cgroup", "/docker/one", "/fs/own", "rw,memory")], {"/fs/own": inside["/fs/memory"]})
    assert available() == GIB + 500 * MIB
    system("4:memory:/another\n", [("cgroup", "/docker/one", "/fs/own", "rw,memory")])
    assert available() == GIB + 500 * MIB
    system("0::/../../other\n", [("cgroup2", "/", "/fs/two", "rw")], {"/fs/two": v2(GIB, 0)})
    assert available() == GIB


@pytest.mark.fast
def test_without_limits_the_host_has_what_it_has(system):
    system()
    assert available() == HOST
    system("0::/\n4:memory:/\n", [V2, V1], {"/fs": v2("max", GIB), "/fs/memory": v1(NO_LIMIT, GIB)})
    assert available() == HOST
    system("nonsense\n", [("cgroup2", "/", "/nowhere", "rw")])
    assert available() == HOST


@pytest.mark.fast
def test_a_group_that_is_full_has_nothing_left(system):
    system("0::/\n", [V2], {"/fs": v2(GIB, 2 * GIB)})
    assert available() == 0


@pytest.mark.fast
def test_graphs_see_limits_too(system):
    system("0::/\n", [V2], {"/fs": v2(GIB, GIB - 10**6)})
    with pytest.raises(MemoryError, match=r"nodes: 1,000,000 need at least .* are free"):
        topology("ring", 10**6)


@pytest.mark.fast
@pytest.mark.parametrize("where", ["/f s", "/é s", "/\u2028 s"])
def test_places_that_are_no_plain_text(system, where):
    system("0::/\n", [("cgroup2", "/", where.replace(" ", "\\040"), "rw")], {where: v2(GIB, GIB // 2)})
    mounts = containers.MOUNTS.read_bytes()
    containers.MOUNTS.write_bytes(b"29 22 8:1 / /caf\xe9 rw - ext4 /dev/sdb1 rw\n" + mounts)
    assert available() == GIB // 2


@pytest.mark.fast
def test_a_limit_counts_where_what_is_taken_cannot_be_read(system, monkeypatch):
    system("0::/\n", [V2], {"/fs": {"memory.max": GIB}})
    taken = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=100 * MIB))
    monkeypatch.setattr("psutil.Process", lambda: taken)
    assert available() == GIB - 100 * MIB
