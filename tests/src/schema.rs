//! Files of results against their published schemas.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python;

const SCRIPT: &str = "import json, sys\nfrom jsonschema import Draft202012Validator as V\n\
    schema, good, bad = (json.load(open(path)) for path in sys.argv[1:])\n\
    V.check_schema(schema)\nV(schema).validate(good)\nsys.exit(V(schema).is_valid(bad))";

/// Asserts that `good` keeps the schema of this name in docs, and `bad` does not. Without jsonschema it says that
/// it skips.
///
/// # Panics
/// It is otherwise.
pub fn assert_schema(name: &str, good: &Path, bad: &Path) {
    let Some(python) = with_jsonschema() else {
        println!("SKIP JSON schemas: no Python with jsonschema; run scripts/setup");
        return;
    };
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(schema).arg(good).arg(bad);
    let done = command.output().expect("it ran before");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name}: {}: {said}", done.status);
}

/// A Python that has jsonschema: the one of scripts/python-tools, or the system's.
fn with_jsonschema() -> Option<PathBuf> {
    let has_it = |python: &PathBuf| {
        let status = Command::new(python).args(["-c", "import jsonschema"]).output();
        status.is_ok_and(|output| output.status.success())
    };
    [python(), Some("python3".into())].into_iter().flatten().find(has_it)
}
