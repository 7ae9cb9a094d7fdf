//! What a restore has brought on its way into the files of a database, and files that were made in
//! vain.

use super::context::Context;
use crate::catalogue::{Content, DatabaseFile, Pages, remove_stored};
use crate::messages::SeveralMessages;

/// Copies what an earlier restore has brought into the files of the database, as far as that has not
/// been done.
pub(super) fn take_in(context: &Context<'_>, name: &str) -> Result<(), SeveralMessages> {
    let catalogue = context.instance.catalogue()?;
    let Some(database) = catalogue.database(name).filter(|found| found.arrived.is_some()) else {
        return Ok(());
    };
    let copied = Pages::open(database).and_then(|pages| pages.take_in());
    copied.map_err(|error| context.storage_failed(&error))?;
    context.instance.update(|catalogue| {
        if let Some(database) = catalogue.database_mut(name) {
            database.arrived = None;
        }
        Ok(())
    })
}

/// Deletes files that were made in vain.
pub(super) fn remove_files(files: &[DatabaseFile]) {
    for file in files {
        if let Content::Stored(path) = &file.content {
            remove_stored(path);
        }
    }
}
