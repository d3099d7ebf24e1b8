"""Moving a database: exact copies, backups, exports, and the way back.  Source: docs/operations.md."""

from episteme.moving.backup import (
    Manifest,
    Phase,
    Taken,
    check_backup,
    read_manifest,
    take_backup,
)
from episteme.moving.copying import Copy, FrameSource, LogSource, OnProgress, make_own
from episteme.moving.exact import Checked, Imported, check_export, import_exactly
from episteme.moving.export import (
    EXPORT_FORMAT,
    BundleLines,
    ClaimRow,
    ExportEnd,
    ExportHeader,
    lines_of_log,
    with_bundles,
    write_csv,
    write_lines,
)
from episteme.moving.folding import Folded, fold_apart, fold_folder
from episteme.moving.packing import UNREADABLE, opened, written
from episteme.moving.parquet import load_arrow, write_parquet
from episteme.moving.reading import (
    FileKind,
    kind_of_file,
    numbered_lines,
    read_export,
    read_header,
    read_line,
)
from episteme.moving.remote import LineSource, ReadLines
from episteme.moving.restore import Restored, make_data_folder, restore

__all__ = [
    "EXPORT_FORMAT",
    "UNREADABLE",
    "BundleLines",
    "Checked",
    "ClaimRow",
    "Copy",
    "ExportEnd",
    "ExportHeader",
    "FileKind",
    "Folded",
    "FrameSource",
    "Imported",
    "LineSource",
    "LogSource",
    "Manifest",
    "OnProgress",
    "Phase",
    "ReadLines",
    "Restored",
    "Taken",
    "check_backup",
    "check_export",
    "fold_apart",
    "fold_folder",
    "import_exactly",
    "kind_of_file",
    "lines_of_log",
    "load_arrow",
    "make_data_folder",
    "make_own",
    "numbered_lines",
    "opened",
    "read_export",
    "read_header",
    "read_line",
    "read_manifest",
    "restore",
    "take_backup",
    "with_bundles",
    "write_csv",
    "write_lines",
    "write_parquet",
    "written",
]
