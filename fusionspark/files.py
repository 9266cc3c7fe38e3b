"""Small files through Hadoop's file system, so that local, HDFS and object stores look the same."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Files:
    """Small files through Hadoop's file system, so that local, HDFS and object stores look the same."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark._jvm
        self._gateway: Any = spark.sparkContext._gateway
        self._conf: Any = spark._jsc.hadoopConfiguration()  # type: ignore[attr-defined]

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(path)

    def _fs(self, path: str) -> Any:
        return self._path(path).getFileSystem(self._conf)

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return bool(self._fs(path).exists(self._path(path)))

    def names(self, folder: str) -> list[str]:
        """Sorted names inside ``folder``; empty where it does not exist."""
        if not self.exists(folder):
            return []
        return sorted(entry.getPath().getName() for entry in self._fs(folder).listStatus(self._path(folder)))

    def glob(self, pattern: str) -> list[str]:
        """Sorted paths, without scheme, that match a Hadoop glob."""
        found = self._fs(pattern).globStatus(self._path(pattern)) or []
        return sorted(entry.getPath().toUri().getPath() for entry in found)

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each data file inside ``folder``, by name; hidden ones and folders are left out."""
        if not self.exists(folder):
            return {}
        entries = [entry for entry in self._fs(folder).listStatus(self._path(folder)) if entry.isFile()]
        found = {entry.getPath().getName(): int(entry.getLen()) for entry in entries}
        return {name: found[name] for name in sorted(found) if not name.startswith(("_", "."))}

    def measure(self, folder: str) -> tuple[int, int]:
        """Number of files below ``folder`` and their bytes, from one call whatever their number."""
        summary = self._fs(folder).getContentSummary(self._path(folder))
        return int(summary.getFileCount()), int(summary.getLength())

    def read_end(self, path: str, start: int) -> bytes:
        """Bytes of a file from ``start`` on."""
        stream = self._fs(path).open(self._path(path))
        try:
            stream.seek(start)
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()

    def move(self, path: str, target: str) -> None:
        """Rename a file or folder; the folder of ``target`` is made where it is missing."""
        place = self._path(target)
        self._fs(target).mkdirs(place.getParent())
        self._fs(path).rename(self._path(path), place)

    def delete(self, path: str) -> None:
        """Delete a file or a whole folder; nothing happens where nothing is."""
        self._fs(path).delete(self._path(path), True)

    def read_text(self, path: str) -> str:
        """Content of a UTF-8 file."""
        stream = self._fs(path).open(self._path(path))
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode("utf-8")
        finally:
            stream.close()

    def read_text_if_there(self, path: str) -> str | None:
        """Content of a UTF-8 file that another process may delete at any moment; None where it is gone."""
        with self._none_if_gone():
            return self.read_text(path)
        return None

    @staticmethod
    @contextmanager
    def _none_if_gone() -> Iterator[None]:
        from py4j.protocol import Py4JJavaError

        try:
            yield
        except Py4JJavaError as error:
            if "FileNotFound" not in error.java_exception.getClass().getName():
                raise

    def write_text(self, path: str, text: str) -> None:
        """Write a UTF-8 file whole or not at all: beside its place first, then renamed over it."""
        # A name of its own: two runs may write the same file at once.
        unique = f".{uuid.uuid4().hex[:8]}.part"
        local = self._local(path)
        if local:
            # Hadoop's local file system deletes the old file before it renames the new one.
            local.parent.mkdir(parents=True, exist_ok=True)
            beside = local.with_name(local.name + unique)
            beside.write_text(text, encoding="utf-8", newline="")
            # The checksum that Hadoop may have kept is that of the old content.
            local.with_name(f".{local.name}.crc").unlink(missing_ok=True)
            beside.replace(local)
            return
        stream = self._fs(path).create(self._path(path + unique), True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()
        fs = self._jvm.org.apache.hadoop.fs
        overwrite = getattr(fs, "Options$Rename").OVERWRITE
        options = self._gateway.new_array(getattr(fs, "Options$Rename"), 1)
        options[0] = overwrite
        context = fs.FileContext.getFileContext(self._fs(path).getUri(), self._conf)
        context.rename(
            self._fs(path).makeQualified(self._path(path + unique)),
            self._fs(path).makeQualified(self._path(path)),
            options,
        )

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file of bytes, in the place of one that may be there."""
        stream = self._fs(path).create(self._path(path), True)
        try:
            stream.write(bytearray(content))
        finally:
            stream.close()

    def create(self, path: str, text: str) -> bool:
        """Write a UTF-8 file that must not be there yet; False, and nothing changed, where it is.

        Of processes that try at once one gets True, as far as the file system's own creation is exclusive:
        the local one, NFS and HDFS are.
        """
        from py4j.protocol import Py4JJavaError

        local = self._local(path)
        try:
            if local:
                # Hadoop's local file system looks first and writes then, so two could pass.
                local.parent.mkdir(parents=True, exist_ok=True)
                with local.open("x", encoding="utf-8", newline="") as file:
                    file.write(text)
                return True
            stream = self._fs(path).create(self._path(path), False)
        except FileExistsError:
            return False
        except Py4JJavaError as error:
            if "FileAlreadyExists" in error.java_exception.getClass().getName():
                return False
            raise
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()
        return True

    def copy(self, path: str, to: str) -> None:
        """Copy a file or a whole folder; nothing happens where nothing is."""
        if self.exists(path):
            util = self._jvm.org.apache.hadoop.fs.FileUtil
            source, target = self._path(path), self._path(to)
            self._fs(to).mkdirs(target.getParent())
            util.copy(self._fs(path), source, self._fs(to), target, False, True, self._conf)

    def modified(self, path: str) -> float | None:
        """When a file was last written, in seconds since 1970; None where it is gone."""
        with self._none_if_gone():
            status = self._fs(path).getFileStatus(self._path(path))
            return float(status.getModificationTime()) / 1000
        return None

    def fingerprint(self, paths: Iterable[str]) -> str | None:
        """sha-256 over path, length and modification time of files, one look a file; None without files."""
        seen = []
        for path in sorted(paths):
            status = self._fs(path).getFileStatus(self._path(path))
            seen.append([path, status.getLen(), status.getModificationTime()])
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest() if seen else None

    def _local(self, path: str) -> Path | None:
        """The place in terms of this machine, where the file system is its own."""
        return Path(self.absolute(path)) if self._fs(path).getUri().getScheme() == "file" else None

    def absolute(self, path: str) -> str:
        """The path with scheme and without ``.`` and ``..``; a plain path for the local file system."""
        full = self._fs(path).makeQualified(self._path(path)).toString()
        return full.removeprefix("file:") if full.startswith("file:/") else str(full)
