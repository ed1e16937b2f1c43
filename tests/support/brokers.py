"""Real brokers on free ports, with all they write in a directory of their own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from bisect import bisect
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

from support.ports import free_port

#: Seconds that a broker has to start, or to end.
WAIT = 60

#: The first slots of the nodes of a cluster, and the number of all.
BOUNDS = (0, 5461, 10923, 16384)


def program(*names: str) -> str | None:
    """The first of these programs that there is."""
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    return None


class Broker:
    """A program that listens on a port. It can go away, and come back there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def environ(self) -> dict[str, str]:
        return {}

    def serves(self) -> bool:
        """Whether it does, now that it listens."""
        return True

    def start(self) -> None:
        with open(self.directory / "output", "ab") as output:
            # A group of its own, since it may be a shell script with children.
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env={**os.environ, **self.environ()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until = time.monotonic() + WAIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if not self.serves():
                    raise ConnectionError("not yet")
                return
            except OSError:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > until:
                    self.stop()
                    text = (self.directory / "output").read_text(errors="replace")
                    raise AssertionError(f"no broker on {self.port}: {text}") from None
                time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)  # it may be paused
            os.killpg(process.pid, number)
        try:
            process.wait(WAIT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """It ends without a word to anybody."""
        self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """It stops in the middle of whatever it does; its connections stay."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on after :meth:`pause`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)


class Redis(Broker):
    """A Redis server.

    Args:
        directory: For what it writes.
        **options: Those of its configuration, with ``_`` for ``-``.
    """

    PROGRAM = program("redis-server", "valkey-server")

    def __init__(self, directory: Path, **options: Any) -> None:
        super().__init__(directory)
        self._options = options

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def path(self) -> Path:
        """Its Unix socket."""
        return self.directory / "redis.sock"

    def command(self) -> list[str]:
        assert self.PROGRAM is not None
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "unixsocket": self.path,
            "save": "",
            "dir": self.directory,
            **self._options,
        }
        arguments = [
            text
            for name, value in options.items()
            for text in (f"--{name.replace('_', '-')}", *f"{value}".split(" "))
        ]
        return [self.PROGRAM, *arguments]


class Sentinel(Broker):
    """A Redis Sentinel that knows one master, named ``service``.

    It makes the master's replica the master after half a second without an answer.
    """

    def __init__(self, directory: Path, redis: Redis) -> None:
        super().__init__(directory)
        self.redis = redis

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/0/service"

    def command(self) -> list[str]:
        assert Redis.PROGRAM is not None
        path = self.directory / "sentinel.conf"
        path.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
            f"sentinel monitor service 127.0.0.1 {self.redis.port} 1\n"
            "sentinel down-after-milliseconds service 500\n"
            "sentinel failover-timeout service 3000\n"
        )
        return [Redis.PROGRAM, str(path), "--sentinel"]


class MasterAndReplica(NamedTuple):
    """Two Redis servers, and the Sentinel that watches over them."""

    master: Redis
    replica: Redis
    sentinel: Sentinel

    @classmethod
    def made(cls, directory: Path, **options: Any) -> MasterAndReplica:
        """Those in this directory; the options are of the configuration of both."""
        directories = [directory / name for name in ("master", "replica", "sentinel")]
        for each in directories:
            each.mkdir()
        master = Redis(directories[0], repl_diskless_sync_delay=0, **options)
        follows = f"127.0.0.1 {master.port}"
        replica = Redis(directories[1], replicaof=follows, **options)
        return cls(master, replica, Sentinel(directories[2], master))

    @property
    def url(self) -> str:
        """That of the Sentinel."""
        return self.sentinel.url

    def start(self) -> None:
        for broker in self:
            broker.start()

    def stop(self) -> None:
        for broker in self:
            broker.stop()

    def kill(self) -> None:
        """The master is gone, when the Sentinel knows the replica."""
        import redis

        until = time.monotonic() + WAIT
        with contextlib.closing(redis.Redis(port=self.sentinel.port)) as client:
            while not client.sentinel_slaves("service"):
                assert time.monotonic() < until, "the Sentinel knows no replica"
                time.sleep(0.05)
        self.master.kill()


class RedisCluster:
    """Three Redis servers that have a third of the slots each.

    Args:
        directory: For what they write.
        replicas: Whether each has a replica, which takes its place when it is gone.
        **options: Those of the configuration of all, with ``_`` for ``-``.
    """

    def __init__(
        self, directory: Path, *, replicas: bool = False, **options: Any
    ) -> None:
        self._replicated = replicas
        #: The masters at first, and then their replicas in the same order.
        self.nodes: list[Redis] = []
        for name in ("a", "b", "c", *(("d", "e", "f") if replicas else ())):
            (directory / name).mkdir()
            node = Redis(
                directory / name,
                cluster_enabled="yes",
                cluster_port=free_port(),
                cluster_node_timeout=2000,
                **options,
            )
            self.nodes.append(node)

    @property
    def url(self) -> str:
        """That of one node, which knows the others."""
        return f"redis://127.0.0.1:{self.nodes[0].port}"

    @property
    def urls(self) -> list[str]:
        return [f"redis://127.0.0.1:{node.port}" for node in self.nodes]

    def start(self) -> None:
        import redis

        for node in self.nodes:
            node.start()
        clients = [redis.Redis(port=node.port) for node in self.nodes]
        for i, client in enumerate(clients):
            if i < 3:
                slots = f"CLUSTER ADDSLOTSRANGE {BOUNDS[i]} {BOUNDS[i + 1] - 1}"
                client.execute_command(*slots.split())
            bus = self.nodes[i]._options["cluster_port"]
            for other in clients:
                meet = f"CLUSTER MEET 127.0.0.1 {self.nodes[i].port} {bus}"
                other.execute_command(*meet.split())
        until = time.monotonic() + WAIT
        for client in clients:
            while "cluster_state:ok" not in _text(
                client.execute_command("CLUSTER INFO")
            ):
                assert time.monotonic() < until, "the nodes make no cluster"
                time.sleep(0.05)
        if self._replicated:
            self._replicate(clients, until)
        for client in clients:
            client.close()

    def _replicate(self, clients: list[Any], until: float) -> None:
        for master, replica in zip(clients[:3], clients[3:], strict=True):
            id = _text(master.execute_command("CLUSTER MYID"))
            while True:
                try:
                    replica.execute_command("CLUSTER", "REPLICATE", id)
                    break
                except Exception:  # it has not heard of the master yet
                    assert time.monotonic() < until, "a node is no replica"
                    time.sleep(0.05)
        for replica in clients[3:]:
            while replica.info("replication").get("master_link_status") != "up":
                assert time.monotonic() < until, "a replica has no master"
                time.sleep(0.05)

    def owner(self, channel: str) -> Redis:
        """The master at first that has the slot of a sharded channel, or of a key."""
        from redis.crc import key_slot

        return self.nodes[bisect(BOUNDS[1:3], key_slot(channel.encode()))]

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def _text(info: Any) -> str:
    # Depending on its version the package parses what it gets.
    if isinstance(info, dict):
        return "\n".join(f"{key}:{value}" for key, value in info.items())
    return info.decode() if isinstance(info, bytes) else str(info)


class NATS(Broker):
    """A NATS server with JetStream.

    Args:
        directory: For what it writes.
        config: More of its configuration.
    """

    PROGRAM = program("nats-server", "/usr/sbin/nats-server")

    def __init__(self, directory: Path, config: str = "") -> None:
        super().__init__(directory)
        self._config = config

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        assert self.PROGRAM is not None
        path = self.directory / "nats.conf"
        path.write_text(self._config)
        where = ["-a", "127.0.0.1", "-p", str(self.port), "-c", str(path)]
        return [self.PROGRAM, *where, "-js", "-sd", str(self.directory)]


class NATSCluster:
    """Three NATS servers that know each other, with JetStream.

    Args:
        directory: For what they write.
    """

    def __init__(self, directory: Path) -> None:
        routes = [free_port() for _ in range(3)]
        urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        self.nodes: list[NATS] = []
        for name, port in zip(("a", "b", "c"), routes, strict=True):
            (directory / name).mkdir()
            config = (
                f"server_name: {name}\n"
                f'cluster {{ name: test, listen: "127.0.0.1:{port}", '
                f"routes: [{urls}] }}\n"
            )
            self.nodes.append(NATS(directory / name, config))

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


class Postgres(Broker):
    """A PostgreSQL. It refuses to run as root, so another user runs it then."""

    PROGRAM = program("postgres", *sorted(glob("/usr/lib/postgresql/*/bin/postgres")))

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="pg")))
        self._data = self.directory / "data"
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _as_user(self, *command: Any) -> list[str]:
        words = [str(word) for word in command]
        if os.geteuid() != 0:
            return words
        user = ("--reuid=postgres", "--regid=postgres", "--clear-groups")
        return ["setpriv", *user, *words]

    def command(self) -> list[str]:
        assert self.PROGRAM is not None
        if not self._data.exists():
            initdb = Path(self.PROGRAM).resolve().with_name("initdb")
            options = ("--no-sync", "-A", "trust", "-U", "postgres", "-D", self._data)
            subprocess.run(
                self._as_user(initdb, *options),
                cwd=self.directory,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        options = ("-D", self._data, "-h", "127.0.0.1", "-p", self.port, "-F")
        return self._as_user(self.PROGRAM, *options, "-k", self.directory)

    def serves(self) -> bool:
        # It listens before it is ready.
        assert self.PROGRAM is not None
        program = Path(self.PROGRAM).resolve().with_name("pg_isready")
        ready = [program, "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def end(self) -> None:
        self.stop(signal.SIGINT)
        shutil.rmtree(self.directory)


class PgBouncer(Broker):
    """A pgbouncer in front of a PostgreSQL."""

    PROGRAM = program("pgbouncer", "/usr/sbin/pgbouncer")

    def __init__(self, postgres: Postgres, mode: str) -> None:
        super().__init__(postgres.directory)
        self._postgres = postgres
        self._mode = mode

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        assert self.PROGRAM is not None
        path = self.directory / "pgbouncer.ini"
        path.write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={self._postgres.port} user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nauth_type = any\n"
            f"pool_mode = {self._mode}\nunix_socket_dir =\n"
        )
        return self._postgres._as_user(self.PROGRAM, path)


class RabbitMQ(Broker):
    # The one on Debian's path changes to another user, and loses the environment.
    PROGRAM = program("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
    EPMD = program("epmd")

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._distribution_port = free_port()
        self._epmd_port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> list[str]:
        assert self.PROGRAM is not None
        return [self.PROGRAM]

    def environ(self) -> dict[str, str]:
        directory = self.directory
        return {
            "HOME": str(directory),  # of the cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
            "RABBITMQ_CONFIG_FILE": str(directory / "none"),
        }

    def start(self) -> None:
        # It would start a daemon of its own, and leave that behind.
        assert self.EPMD is not None
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                [self.EPMD, "-port", str(self._epmd_port), "-address", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
            )
        super().start()

    def end(self) -> None:
        self.stop()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait(WAIT)


class ZeroMQ:
    """The broker that a program using ZeroMQ writes itself; on a thread."""

    def __init__(self) -> None:
        import zmq

        self._zmq = zmq
        self.context: Any = zmq.Context()
        self._receiver = self.context.socket(zmq.PULL)
        self._publisher = self.context.socket(zmq.PUB)
        ports = [
            end.bind_to_random_port("tcp://127.0.0.1")
            for end in (self._receiver, self._publisher)
        ]
        self.url = f"zmq+tcp://127.0.0.1:{ports[0]}+{ports[1]}"
        self._thread = threading.Thread(target=self._forward)
        self._thread.start()

    def _forward(self) -> None:
        with contextlib.suppress(self._zmq.ContextTerminated):
            self._zmq.proxy(self._receiver, self._publisher)
        for end in (self._receiver, self._publisher):
            end.close(linger=0)

    def stop(self) -> None:
        self.context.term()
        self._thread.join()
