"""Check that a tag, what was built and the texts of a release agree; write the release's notes.

    python check_release.py TAG DIST NOTES

TAG is v and a version. DIST holds one wheel and one sdist. NOTES is written: what the changelog
says of the version.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "resonance_bench"


def built_versions(folder: Path) -> dict[str, str]:
    """Return the version of each file in a folder, by the file's name.

    Raises:
        ValueError: there is another file than a wheel or an sdist of this project, or not both.
    """
    found = {}
    kinds = set()
    for file in sorted(folder.iterdir()):
        if file.name.startswith("."):
            continue
        wheel = re.fullmatch(rf"{NAME}-([^-]+)-py3-none-any\.whl", file.name)
        sdist = re.fullmatch(rf"{NAME}-([^-]+)\.tar\.gz", file.name)
        if not (wheel or sdist):
            raise ValueError(f"{file.name} is neither a wheel nor an sdist of {NAME}")
        found[file.name] = (wheel or sdist)[1]  # type: ignore[index]
        kinds.add("wheel" if wheel else "sdist")
    if len(found) != 2 or len(kinds) != 2:
        raise ValueError(f"one wheel and one sdist are needed in {folder}, not {sorted(found)}")
    return found


def section(changelog: str, version: str) -> str:
    """Return what the changelog says of a version, without its heading.

    Raises:
        ValueError: it has no section of that version, an empty one, or one that is not released.
    """
    heads = list(re.finditer(r"^## (\S+)(.*)$", changelog, re.MULTILINE))
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        if head[1] == version:
            if "unreleased" in head[2]:
                raise ValueError(f"CHANGELOG.md: write the date of {version} for (unreleased)")
            end = following.start() if following else len(changelog)
            text = changelog[head.end() : end].strip()
            if not text:
                raise ValueError(f"CHANGELOG.md: the section of {version} is empty")
            return text + "\n"
    raise ValueError(f"CHANGELOG.md has no section of {version}")


def notes(tag: str, dist: Path, root: Path = ROOT) -> str:
    """Return a release's notes, once everything agrees.

    Raises:
        ValueError: the tag, a file that was built, the changelog or the citation differ.
    """
    if not re.fullmatch(r"v\d+\.\d+\.\d+((a|b|rc)\d+)?", tag):
        raise ValueError(f"{tag!r} is no tag of a release: v1.2.3 or v1.2.3rc1 are")
    version = tag.removeprefix("v")
    for file, built in built_versions(dist).items():
        if built != version:
            raise ValueError(f"{file} was built as {built}, the tag is {tag}")
    text = section((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    if cited is None or cited[1] != version:
        raise ValueError(f"CITATION.cff cites {cited and cited[1]}, the tag is {tag}")
    return text


def main() -> None:
    """Write the notes, or say in one line what does not agree."""
    tag, dist, out = sys.argv[1:]
    try:
        Path(out).write_text(notes(tag, Path(dist)), encoding="utf-8")
    except (ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
