"""Kafka: one node that is broker and controller, from the jars that are published."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.brokers import Broker, program
from support.ports import free_port

__all__ = ["Kafka"]

CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"


class Kafka(Broker):
    """``SOCKETIO_FAST_KAFKA_JARS`` is the directory of the jars; pom.xml says how it is
    filled."""

    JAVA = program("java")
    JARS = os.environ.get("SOCKETIO_FAST_KAFKA_JARS")

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        controller = free_port()
        self._properties = directory / "server.properties"
        self._properties.write_text(
            "process.roles=broker,controller\n"
            "node.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{controller}\n"
            "controller.listener.names=CONTROLLER\n"
            f"log.dirs={directory / 'data'}\n"
            "offsets.topic.replication.factor=1\n"
            "group.initial.rebalance.delay.ms=0\n"
        )

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [*self._java, "kafka.Kafka", str(self._properties)]

    @property
    def _java(self) -> list[str]:
        assert self.JAVA is not None
        return [
            self.JAVA,
            "-Xmx512m",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{self.JARS}/*",
        ]

    def start(self) -> None:
        if not (self.directory / "data").exists():
            subprocess.run(
                [
                    *(*self._java, "kafka.tools.StorageTool", "format"),
                    *("-t", CLUSTER, "-c", str(self._properties)),
                ],
                cwd=self.directory,
                check=True,
                capture_output=True,
            )
        super().start()
