//! The setting `timezone`.

use crate::compat::java::joda::zone::Zone;
use crate::event::{Event, Template, Text};
use crate::plugin::field::Failed;

/// The setting: a zone, or a text with `%{…}`.
#[derive(Clone, Debug)]
pub(super) enum ZoneSetting {
    Same(Zone),
    /// The last zone is kept, as most events have the same.
    PerEvent(Template, Option<(Text, Zone)>),
}

impl ZoneSetting {
    /// The error names the zone.
    pub(super) fn new(name: Option<Template>) -> Result<Self, String> {
        match name {
            None => Ok(Self::Same(Zone::system())),
            Some(name) if name.source().contains("%{") => Ok(Self::PerEvent(name, None)),
            Some(name) => {
                let name = name.source();
                Zone::new(name).map(Self::Same).ok_or_else(|| format!("there is no time zone `{name}`"))
            }
        }
    }

    /// The zone for an event.
    pub(super) fn of(&mut self, event: &Event) -> Result<Zone, Failed> {
        match self {
            Self::Same(zone) => Ok(zone.clone()),
            Self::PerEvent(template, last) => {
                let name = template.render(event)?;
                if let Some((have, zone)) = last
                    && *have == name
                {
                    return Ok(zone.clone());
                }
                let zone = Zone::new(&name).ok_or(Failed)?;
                *last = Some((name, zone.clone()));
                Ok(zone)
            }
        }
    }
}
