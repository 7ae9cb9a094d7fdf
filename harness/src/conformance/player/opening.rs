//! From the client's set to its open devices.

use super::*;

impl Player<'_> {
    pub(super) fn attach(&mut self) -> Played {
        let name = self.order.devices[0].as_bytes();
        let wait = Duration::from_millis(self.order.wait);
        self.stage(Stage::Started)?;
        let set = match ServerSet::wait_open(self.environment, Some(name), Some(wait)) {
            Ok(set) => set,
            Err(error) => return Err(self.stop(format!("no set was created: {error}"))),
        };
        (self.attend)(AbortHandle::of(&set));
        let objects = objects_of(self.environment);
        let asked = set.get_configuration().map_err(|error| {
            self.set = Some(set.clone());
            self.failed("GetConfiguration", &error)
        })?;
        let client = set.client().pid;
        self.objects.clone_from(&objects);
        self.note(What::Attached { asked: Asked::from(&asked), client, objects });
        self.disk = asked.features().contains(Features::RANDOM_ACCESS);
        self.set = Some(set);
        if asked.device_count as usize != self.order.devices.len() {
            return Err(self.stop(format!(
                "the client asked for {} devices where {} were named to it",
                asked.device_count,
                self.order.devices.len()
            )));
        }
        self.stage(Stage::Attached)
    }

    /// Whether the client's objects are closed to another account of its group.
    pub(super) fn keeps_others_out(&self) -> bool {
        self.objects.iter().any(|object| !object.is_open_to_group())
    }

    pub(super) fn buffer_count(&self) -> u32 {
        // Two more than can be under way stay with the server, as canaries.
        self.order.devices.len() as u32 * self.order.script.depth.max(1) + 2
    }

    pub(super) fn configure(&mut self) -> Played {
        let script = &self.order.script;
        let set = self.set()?.clone();
        let asked =
            set.get_configuration().map_err(|error| self.failed("GetConfiguration", &error))?;
        let features =
            asked.features().answer(script.operation.direction(), script.offers_complete);
        let config = ServerConfig {
            features,
            block_size: script.block_size,
            alignment: 0,
            max_transfer_size: script.max_transfer_size,
            time_out: 60_000,
        };
        set.begin_configuration(&config)
            .map_err(|error| self.failed("BeginConfiguration", &error))?;
        self.stage(Stage::Configuring)?;
        set.fence_buffers(self.fence()).map_err(|error| self.failed("fence_buffers", &error))?;
        self.make_buffers(&set)?;
        self.complete = features.contains(Features::COMPLETE_ENABLED);
        self.note(What::Configured {
            features: features.bits(),
            block_size: config.block_size,
            max_transfer_size: config.max_transfer_size,
        });
        self.stage(Stage::Configured)
    }

    /// RequestBuffers and EndConfiguration. Where another account could not work with the client's objects, the buffers that it makes do
    /// not come to the client, either: as with SQL Server, the client's library finds no object.
    /// Source: sql-server-samples issue 752.
    fn make_buffers(&self, set: &ServerSet) -> Played {
        let make = || {
            self.request_buffers()?;
            set.end_configuration().map_err(|error| {
                if self.faults.is_empty() {
                    return self.failed("EndConfiguration", &error);
                }
                set.signal_abort();
                self.aborted()
            })
        };
        // As the client made them: the buffers are the server's.
        let closed = self.objects.iter().find(|object| !object.is_open_to_group());
        let Some(Object { name, user, group, mode }) = closed.filter(|_| self.is_stranger) else {
            return make();
        };
        let owner = format!("user {user}, group {group}, mode {mode:04o}");
        self.note(What::Action { name: format!("another account meets {name} of {owner}") });
        // The client would map them as soon as they are there.
        let held = Held::new(set.client().pid);
        make()?;
        let hidden = hide_buffers(self.environment);
        drop(held);
        hidden.map_err(|error| {
            self.note(What::Failed { why: format!("buffers cannot be hidden: {error}") });
            Stop
        })
    }

    pub(super) fn open(&mut self) -> Played {
        let set = self.set()?.clone();
        let script = &self.order.script;
        for (k, name) in self.order.devices.iter().enumerate() {
            let device = set
                .open_device(name.as_bytes())
                .map_err(|error| self.failed("OpenDevice", &error))?;
            let expected = match script.content {
                Content::Seeded => {
                    Stream::Seeded(SeededBytes::new(self.order.seed, k as u32, script.length))
                }
                Content::Byte(byte) => Stream::Byte(byte),
            };
            self.lanes.push(Lane {
                device,
                expected,
                at: 0,
                back: 0,
                ended: false,
                in_error: false,
                position: 0,
                closed: false,
                sent: BTreeMap::new(),
            });
        }
        let agent = set.clone();
        // How the agent ends says nothing that the completions do not say.
        self.agent = Some(thread::spawn(move || drop(agent.execute_completion_agent())));
        self.note(What::Opened);
        self.stage(Stage::Opened)
    }
}
