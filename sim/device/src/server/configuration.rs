//! From BeginConfiguration to EndConfiguration, and areas added later.

use std::sync::atomic::Ordering;

use vdi_protocol::{ServerConfig, negotiate};
use vdi_region::{Access, Region, page_size};

use crate::{
    area::{Area, AreaRequest, lay_out},
    error::{Error, Reason},
    fence::{CANARY, Fence},
    layout::{AREAS_MAX, SEGMENTS_MAX, store_u64},
    lock::lock,
    naming,
    phase::Phase,
    server::inner::Inner,
};

/// What the server has asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    chosen: Option<ServerConfig>,
    fence: Fence,
    requests: Vec<AreaRequest>,
    segments: usize,
    areas: usize,
}

impl Inner {
    pub(crate) fn begin_configuration(&self, config: &ServerConfig) -> Result<(), Error> {
        self.check_state("BeginConfiguration", &[Phase::Connected])?;
        config.validate()?;
        lock(&self.configuration).chosen = Some(*config);
        let phase = &self.segment.control().phase;
        if !Phase::advance(phase, Phase::Connected, Phase::Configuring) {
            return Err(self.aborted());
        }
        Ok(())
    }

    /// See [`ServerSet::fence_buffers`](crate::ServerSet::fence_buffers).
    pub(crate) fn fence_buffers(&self, fence: Fence) -> Result<(), Error> {
        self.check_state("fence_buffers", &[Phase::Connected, Phase::Configuring])?;
        lock(&self.configuration).fence = fence;
        self.segment.control().fence.store(fence as u32, Ordering::Release);
        Ok(())
    }

    pub(crate) fn request_buffers(
        &self,
        size: u32,
        alignment: u32,
        count: u32,
    ) -> Result<(), Error> {
        let during = [Phase::Configuring, Phase::Initializing, Phase::Active];
        let phase = self.check_state("RequestBuffers", &during)?;
        check_buffer(size, alignment)?;
        let mut configuration = lock(&self.configuration);
        let request =
            AreaRequest { size, alignment: self.alignment(&configuration, alignment), count };
        if phase == Phase::Configuring {
            configuration.requests.push(request);
            return Ok(());
        }
        self.allocate(&mut configuration, &[request])?;
        self.segment.announce_change();
        Ok(())
    }

    pub(crate) fn end_configuration(&self) -> Result<(), Error> {
        self.check_phase("EndConfiguration", &[Phase::Configuring])?;
        let mut configuration = lock(&self.configuration);
        let requests = std::mem::take(&mut configuration.requests);
        // If this fails, the set stays configurable without buffer space; the server may ask for less.
        let total = self.allocate(&mut configuration, &requests)?;
        let control = self.segment.control();
        if let Some(chosen) = &configuration.chosen {
            let client = self.segment.identity().client_config;
            let total = u32::try_from(total).unwrap_or(u32::MAX);
            control.config.store(&negotiate(&client, chosen, total));
        }
        if !Phase::advance(&control.phase, Phase::Configuring, Phase::Initializing) {
            return Err(self.aborted());
        }
        self.segment.announce_change();
        Ok(())
    }

    /// The minimum alignment of a buffer: what the call asks for, the configuration's or the client's,
    /// whichever is largest.
    fn alignment(&self, configuration: &Configuration, asked: u32) -> u32 {
        let client = self.segment.identity().client_config.alignment;
        let base = configuration.chosen.map_or(1, |chosen| chosen.effective_alignment());
        asked.max(base).max(client)
    }

    pub(crate) fn effective_alignment(&self, asked: u32) -> u32 {
        self.alignment(&lock(&self.configuration), asked)
    }

    /// Makes one segment for `requests` and publishes its areas; returns the segment's bytes.
    fn allocate(
        &self,
        configuration: &mut Configuration,
        requests: &[AreaRequest],
    ) -> Result<u64, Error> {
        let (segment, first_area) = (configuration.segments, configuration.areas);
        if requests.iter().all(|request| request.count == 0) {
            return Ok(0);
        }
        if segment >= SEGMENTS_MAX || first_area + requests.len() > AREAS_MAX {
            let count = (first_area + requests.len()) as u32;
            return Err(Reason::TooMany { count, max: AREAS_MAX as u32, what: "areas" }.into());
        }
        let prefix = self.segment.identity().client_config.prefix_zone_size;
        let fence = configuration.fence;
        let page = page_size() as u64;
        let (areas, len) = lay_out(requests, segment as u32, prefix, (fence, page))?;
        let region = self.create_segment(segment, len)?;
        let strictest = requests.iter().map(|r| r.alignment).max().unwrap_or(1);
        if region.base_alignment() < strictest as usize {
            let _ = region.unlink();
            let possible = region.base_alignment();
            return Err(Reason::Alignment { alignment: strictest, possible }.into());
        }
        if fence != Fence::None {
            region.slice(0, region.len())?.fill(CANARY);
        }
        self.publish(segment, first_area, &areas, len);
        let fenced = areas.iter().map(|area| (*area, area.canaries(fence, prefix, page)));
        self.pool.add(segment, region, fenced);
        configuration.segments += 1;
        configuration.areas += areas.len();
        Ok(len)
    }

    fn create_segment(&self, index: usize, len: u64) -> Result<Region, Error> {
        let control = self.segment.region();
        let generation = self.segment.identity().generation;
        let name = naming::segment_name(control.name(), index, generation)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let access = Access::Group(control.owner().gid);
        Ok(Region::create(self.environment.backend, &name, len, access, |_| Ok(()))?)
    }

    fn publish(&self, segment: usize, first_area: usize, areas: &[Area], len: u64) {
        let control = self.segment.control();
        store_u64(&control.segments[segment].len, len);
        for (words, area) in control.areas[first_area..].iter().zip(areas) {
            area.store(words);
        }
        control.segment_count.store(segment as u32 + 1, Ordering::Release);
        control.area_count.store((first_area + areas.len()) as u32, Ordering::Release);
    }

    /// The phase, if the call is allowed in it; VD_E_ABORT after an abort.
    pub(crate) fn check_phase(
        &self,
        call: &'static str,
        allowed: &[Phase],
    ) -> Result<Phase, Error> {
        match self.is_aborted() && !self.is_closed() {
            true => Err(self.aborted()),
            false => self.check_state(call, allowed),
        }
    }

    /// The phase, if the call is allowed in it; VD_E_PROTOCOL also after an abort, as the
    /// specification's table has it for the calls of the configuration.
    pub(crate) fn check_state(
        &self,
        call: &'static str,
        allowed: &[Phase],
    ) -> Result<Phase, Error> {
        let phase = match self.segment.phase() {
            // For the server it ends with its last CloseDevice, whenever the client hears of that.
            Phase::Initializing | Phase::Active if self.all_closed() => Phase::NormallyTerminated,
            phase => phase,
        };
        if self.is_closed() {
            Err(Reason::WrongState { call, state: "closed" }.into())
        } else if !allowed.contains(&phase) {
            Err(Reason::WrongState { call, state: phase.in_words() }.into())
        } else {
            Ok(phase)
        }
    }
}

/// Refuses a size or an alignment that no buffer can have.
pub(crate) fn check_buffer(size: u32, alignment: u32) -> Result<(), Error> {
    match size > 0 && (alignment == 0 || alignment.is_power_of_two()) {
        true => Ok(()),
        false => Err(Reason::BadRequest { size, alignment }.into()),
    }
}
