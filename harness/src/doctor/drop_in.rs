//! Whether the drop-in is there and is one.

use std::path::{Path, PathBuf};

use super::finding::{Finding, Level};
use crate::shim;

const SUBJECT: &str = "drop-in";

/// What was found, and the drop-in's path.
pub(super) fn examine(given: Option<&Path>) -> (Vec<Finding>, Option<PathBuf>) {
    let path = match sqlvdi::caller::locate(given) {
        Ok(path) => path,
        Err(error) => return (vec![Finding::new(SUBJECT, Level::Bad, error.to_string())], None),
    };
    let finding = match shim::is_ours(&path) {
        Ok(true) => Finding::new(SUBJECT, Level::Good, format!("{}.", path.display())),
        Ok(false) => Finding::new(
            SUBJECT,
            Level::Bad,
            format!("{} is not vdisim's drop-in.", path.display()),
        )
        .remedy("Build the workspace, or give the drop-in's path with --sqlvdi or VDISIM_SQLVDI."),
        Err(error) => Finding::new(SUBJECT, Level::Bad, error.to_string()),
    };
    (vec![finding], Some(path))
}
