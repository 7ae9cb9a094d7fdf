//! What a restore has brought on its way into the files of a database, and files that are not wanted
//! any more.

use std::path::Path;

use super::context::Context;
use crate::catalogue::{Content, Database, Pages};
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
    })?;
    for (_, content) in database.arrived.iter().flat_map(|arrived| &arrived.files) {
        if let Content::Stored(path) = content {
            remove(path);
        }
    }
    Ok(())
}

/// Deletes the files of a database that are this server's.
pub(crate) fn remove_files(database: &Database) {
    database.stored().for_each(remove);
}

fn remove(path: &Path) {
    // A file that is gone already needs no removal.
    let _ = std::fs::remove_file(path);
}
