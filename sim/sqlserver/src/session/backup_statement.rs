//! BACKUP and RESTORE as statements: the engine works in a thread of its own, and the session
//! passes its messages on as they come.

use std::sync::mpsc;
use std::thread;

use super::batch::{Flow, Session, Stop, command};
use super::reply::{Client, Command, Gone, Reply};
use crate::engine::{self, Answer, Context};
use crate::messages::{Message, SeveralMessages};
use crate::sql::{Backup, Restore, StatementKind};

impl Session {
    pub(super) fn backup(
        &mut self,
        backup: &Backup,
        line: u32,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let verb = backup.verb();
        let plan = self.no_transaction().and_then(|()| self.plan_backup(backup));
        let plan = plan.and_then(|plan| self.may_back_up(verb, &plan).map(|()| plan));
        let plan = plan.map_err(|failed| failed.terminating(verb))?;
        let done = command(&StatementKind::Backup(backup.clone()));
        let work = |context: &Context<'_>| {
            // Here, because a client that has gone ends the statement without an answer.
            engine::backup(context, &plan).inspect_err(|_| {
                let name = &plan.database;
                self.instance.log("Backup", Message::new(3041, &[&format!("{verb} {name}")]));
            })
        };
        let result = self.run_engine(line, done, client, work)?;
        let answer = result.map_err(|failed| failed.terminating(verb))?;
        self.answer(&answer, line, done, client)
    }

    pub(super) fn restore(
        &mut self,
        restore: &Restore,
        line: u32,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let verb = restore.kind.verb();
        let failed = |failed: SeveralMessages| failed.terminating(verb);
        let plan = self.no_transaction().and_then(|()| self.plan_restore(restore));
        let plan = plan.and_then(|plan| self.may_restore(&plan).map(|()| plan));
        let plan = plan.map_err(failed)?;
        if plan.database.eq_ignore_ascii_case(&self.database) {
            let used = Message::new(3102, &[&"RESTORE", &plan.database]);
            return Err(SeveralMessages::from(used).terminating(verb).into());
        }
        let done = command(&StatementKind::Restore(restore.clone()));
        let result =
            self.run_engine(line, done, client, |context| engine::restore(context, &plan))?;
        let answer = result.map_err(failed)?;
        self.answer(&answer, line, done, client)
    }

    fn no_transaction(&self) -> Result<(), SeveralMessages> {
        match self.transactions {
            0 => Ok(()),
            _ => Err(Message::new(3021, &[]).with_state(0).into()),
        }
    }

    /// Runs `work` in a thread; a client that goes away cancels it. What was cancelled says so and
    /// nothing else, however it noticed.
    fn run_engine(
        &self,
        line: u32,
        command: Command,
        client: &mut dyn Client,
        work: impl FnOnce(&Context<'_>) -> Result<Answer, SeveralMessages> + Send,
    ) -> Result<Result<Answer, SeveralMessages>, Gone> {
        let (sender, progress) = mpsc::channel();
        let context = Context::new(&self.instance, &self.login, &self.cancel, sender);
        thread::scope(|scope| {
            let worker = scope.spawn(move || work(&context));
            let mut gone = Ok(());
            // The channel ends when the worker drops its side.
            for message in progress {
                let message: Message = message;
                if gone.is_ok() {
                    gone = client.progress(&message.at_line(line), command);
                    if gone.is_err() {
                        self.cancel.cancel();
                    }
                }
            }
            let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            self.cancel.leave();
            let failed = |failed| match self.cancel.is_cancelled() {
                true => Message::new(3204, &[]).into(),
                false => failed,
            };
            gone.map(|()| result.map_err(failed))
        })
    }

    fn answer(
        &mut self,
        answer: &Answer,
        line: u32,
        command: Command,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        if let Some((last, earlier)) = answer.messages.split_last() {
            for message in earlier {
                client.progress(&message.clone().at_line(line), command)?;
            }
            client.reply(Reply::Message(&last.clone().at_line(line)))?;
        }
        let Some((columns, rows)) = &answer.rows else { return self.done(command, None, client) };
        client.reply(Reply::Columns(columns))?;
        for row in rows {
            client.reply(Reply::Row(row))?;
        }
        self.done(command, Some(rows.len() as u64), client)
    }
}
