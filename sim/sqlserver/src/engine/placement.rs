//! Where the files of a restored database lie: what the server says of it. The pages have files of
//! their own, whose names nobody needs to know.

use std::collections::HashMap;

use super::context::Context;
use crate::catalogue::{Catalogue, DatabaseFile, place_key as key};
use crate::messages::{Message, SeveralMessages};
use crate::session::RestorePlan;

/// The files of the other databases: whose each is, by place.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<String, String>);

impl Places {
    /// The places of all databases but the one of this name.
    pub(super) fn of_others(catalogue: &Catalogue, name: &str) -> Self {
        let own = catalogue.database(name).map(|database| database.id);
        let others = catalogue.databases.iter().filter(|other| Some(other.id) != own);
        let files = others.flat_map(|other| {
            other.files.iter().map(|file| (key(&file.physical_name), other.name.clone()))
        });
        Places(files.collect())
    }

    /// Checks that the files of a database to be restored lie where no other file is, or moves them
    /// there if the plan says so, and tells of it.
    ///
    /// # Errors
    ///
    /// 3176 for two files in one place; 1834 and 3156 for each file of another database that would be
    /// overwritten, and 3119.
    pub(super) fn settle(
        &self,
        context: &Context<'_>,
        plan: &RestorePlan,
        files: &mut [DatabaseFile],
    ) -> Result<(), SeveralMessages> {
        for (index, file) in files.iter().enumerate() {
            let claimed =
                |earlier: &&DatabaseFile| key(&earlier.physical_name) == key(&file.physical_name);
            if let Some(earlier) = files[..index].iter().find(claimed) {
                let DatabaseFile { physical_name, logical_name, id, .. } = file;
                let arguments: [&dyn std::fmt::Display; 5] =
                    [physical_name, logical_name, id, &earlier.logical_name, &earlier.id];
                return Err(Message::new(3176, &arguments).into());
            }
        }
        let mut refused = Vec::new();
        for index in 0..files.len() {
            let file = &files[index];
            let Some(owner) = self.0.get(&key(&file.physical_name)) else { continue };
            let DatabaseFile { logical_name, physical_name, .. } = file;
            // The client of a snapshot brings files back to where it took them from.
            if !plan.relocate || plan.transfer.snapshot {
                refused.push(Message::new(1834, &[physical_name, owner]));
                refused.push(Message::new(3156, &[logical_name, physical_name]).with_state(4));
                continue;
            }
            let place = self.free_place(physical_name, &plan.database, files);
            let text = format!(
                "File '{logical_name}' is placed at '{place}': its own place, '{physical_name}', has \
                 the file of database '{owner}'."
            );
            context.tell(Message::user(0, 10, 1, text));
            files[index].physical_name = place;
        }
        if refused.is_empty() {
            return Ok(());
        }
        refused.push(Message::new(3119, &[]));
        Err(SeveralMessages(refused))
    }

    /// Checks again, when the database is put into the catalogue, that none of these files has been
    /// given to another one meanwhile.
    ///
    /// # Errors
    ///
    /// 1834 for the first that has.
    pub(super) fn check(&self, files: &[DatabaseFile]) -> Result<(), Message> {
        for file in files {
            if let Some(owner) = self.0.get(&key(&file.physical_name)) {
                return Err(Message::new(1834, &[&file.physical_name, owner]));
            }
        }
        Ok(())
    }

    /// A place in the folder of `place` that no file has, named after the database.
    fn free_place(&self, place: &str, database: &str, files: &[DatabaseFile]) -> String {
        let (folder, name) = place.split_at(place.rfind(['\\', '/']).map_or(0, |at| at + 1));
        let is_free = |candidate: &String| {
            let candidate = key(candidate);
            !self.0.contains_key(&candidate)
                && files.iter().all(|file| key(&file.physical_name) != candidate)
        };
        // A database's name may hold what a file's name may not.
        let database = database.replace(['\\', '/', ':'], "_");
        let numbered = (2..).map(|number| format!("{folder}{database}{number}_{name}"));
        let mut candidates = std::iter::once(format!("{folder}{database}_{name}")).chain(numbered);
        candidates.find(is_free).unwrap_or_default()
    }
}
