"""Images in one folder per class, or in an archive of such folders."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath

from suite.core.errors import InvalidInput
from suite.core.files import read_regular
from tasks.content_digest import DIGITS, file_digest, tree_digest
from tasks.datasets.files import MAX_MEMBER_BYTES, is_archive, members

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")

Listing = Mapping[str, list[str]]
"""Paths of images by class, both in the order of their names."""


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (relative path, content) of every image under a folder or in an archive.

    Raises:
        InvalidInput: the path does not exist, or a link points outside the folder.
    """
    if path.is_dir():
        for name in image_paths(path):
            yield name, image_bytes(path / name)
    elif path.is_file() and is_archive(path):
        for name, content in members(path):
            if name.lower().endswith(SUFFIXES) and not _hidden(PurePosixPath(name)):
                yield name, content
    else:
        raise InvalidInput(
            f"images {path}: there is no such folder or archive (.tar, .tar.gz, .tar.xz, .zip)"
        )


def image_bytes(path: Path) -> bytes:
    """Return the content of an image file.

    Raises:
        InvalidInput: it cannot be read, or is larger than any image that is read.
    """
    try:
        return read_regular(path, MAX_MEMBER_BYTES, follow=True)
    except OSError as error:
        raise InvalidInput(f"image {path} cannot be read: {error.strerror or error}") from error


def _hidden(path: PurePath) -> bool:
    """Return whether a relative path is of what programs leave beside images: .git, __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def image_paths(folder: Path) -> list[str]:
    """Return the sorted paths of the images under a folder, relative to it.

    Raises:
        InvalidInput: a link points outside the folder.
    """
    root = folder.resolve()
    names = []
    for path in sorted(folder.rglob("*")):
        hidden = _hidden(path.relative_to(folder))
        if path.suffix.lower() not in SUFFIXES or hidden or path.is_dir():
            continue
        if not path.is_file():
            raise InvalidInput(
                f"image {path} is a broken link, a pipe or a device: replace or delete it"
            )
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise InvalidInput(
                f"images {path}: a link to outside of {folder}: copy the file into it"
            )
        names.append(path.relative_to(folder).as_posix())
    return names


def by_split(names: list[str], where: str) -> tuple[Listing, Listing | None]:
    """Sort image paths into (train, test) by class; test is None without split folders.

    Folders are ``train/CLASS/…`` and ``test/CLASS/…`` (or ``val``), or only ``CLASS/…``.

    Raises:
        InvalidInput: there is no image, an image is outside of a class folder, or train and test
            have different classes.
    """
    if not names:
        raise InvalidInput(f"images {where}: there are none; put them into one folder per class")
    first = {PurePosixPath(name).parts[0] for name in names}
    if len(first) == 1 and "train" not in first:
        _refuse_wrapper(names, where)
    if "train" not in first:
        return _by_class(names, where), None
    tests = sorted(first - {"train"})
    if len(tests) != 1 or tests[0] not in ("test", "val"):
        raise InvalidInput(
            f"images {where}: beside 'train' there must be 'test' (or 'val') and nothing else, "
            f"found {', '.join(tests) or 'nothing'}"
        )
    inside: dict[str, list[str]] = {"train": [], tests[0]: []}
    for name in names:
        inside[PurePosixPath(name).parts[0]].append(name)
    train = _by_class(inside["train"], where, depth=1)
    test = _by_class(inside[tests[0]], where, depth=1)
    for one, other, name in ((test, train, "train"), (train, test, tests[0])):
        if odd := sorted(set(one) - set(other)):
            raise InvalidInput(
                f"images {where}: class '{odd[0]}' has no images in '{name}': both splits need "
                "the same class folders"
            )
    return train, test


def _refuse_wrapper(names: list[str], where: str) -> None:
    """Refuse a single folder that holds several: these may be the classes, or parts of one."""
    wrapper = PurePosixPath(names[0]).parts[0]
    inner = sorted({PurePosixPath(name).parts[1] for name in names if name.count("/") > 1})
    if len(inner) > 1:
        raise InvalidInput(
            f"images {where}: everything is in the folder '{wrapper}', which would be the only "
            f"class: if {', '.join(inner[:3])}, … are the classes, give them without '{wrapper}'"
        )


def _by_class(names: list[str], where: str, depth: int = 0) -> Listing:
    classes: dict[str, list[str]] = {}
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        if len(parts) < depth + 2:
            raise InvalidInput(
                f"images {where}: '{name}' is not in a class folder: move it into one"
            )
        classes.setdefault(parts[depth], []).append(name)
    return {name: classes[name] for name in sorted(classes)}


def check_empty_classes(folder: Path) -> None:
    """Check that every class folder contains images.

    Raises:
        InvalidInput: one is empty; the message names it.
    """
    splits = [folder / s for s in ("train", "test", "val") if (folder / s).is_dir()]
    for split in splits if (folder / "train").is_dir() else [folder]:
        for inside in sorted(split.iterdir()):
            hidden = _hidden(PurePath(inside.name))
            if inside.is_dir() and not hidden and not image_paths(inside):
                raise InvalidInput(
                    f"images {inside}: the class is empty: add images ({', '.join(SUFFIXES)}) or "
                    "delete the folder"
                )


def fingerprint(path: Path) -> str:
    """Return a digest of the images under a folder (`tree_digest`), or of an archive's bytes."""
    digest = tree_digest(path, image_paths(path)) if path.is_dir() else file_digest(path)
    return digest[:DIGITS]
