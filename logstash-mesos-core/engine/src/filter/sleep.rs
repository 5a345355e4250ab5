//! `sleep`: waits, to slow a pipeline down.

use std::time::Duration;

use crate::compat::ruby;
use crate::event::{Event, Template};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static SLEEP: PluginSpec = PluginSpec {
    name: "sleep",
    doc: "Waits before events pass on.",
    settings: &[
        Setting::new(
            "time",
            Kind::String,
            "Seconds to wait; with `replay` how many times faster than it was.",
        ),
        Setting::new("every", Kind::String, "Waits only at every so manieth event.")
            .default(Default::String("1")),
        Setting::new("replay", Kind::Boolean, "Waits as long as lay between the events' times.")
            .default(Default::Bool(false)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let replay = settings.bool("replay");
    let time = match settings.text("time") {
        Some(time) => time,
        None if replay => "1".into(),
        None => {
            return Err(BuildError::setting("time", "`sleep` needs to know how long").remedy("set `time`"));
        }
    };
    Ok(Box::new(Sleep {
        time: settings.template_of(&time),
        every: ruby::string_to_f(&settings.text("every").unwrap_or_default()),
        replay,
        count: 0.0,
        last: None,
    }))
}

#[derive(Clone, Debug)]
struct Sleep {
    time: Template,
    every: f64,
    replay: bool,
    count: f64,
    last: Option<f64>,
}

impl Filter for Sleep {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        self.count += 1.0;
        let time = self.time.render(event).map_or(0.0, |time| ruby::string_to_f(&time));
        let wait = if self.replay {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds are enough here")]
            let now = event.timestamp().map(|time| time.millis() as f64 / 1000.0);
            let last = std::mem::replace(&mut self.last, now);
            now.zip(last).map_or(0.0, |(now, last)| (now - last) / time)
        } else if self.count >= self.every {
            self.count = 0.0;
            time
        } else {
            0.0
        };
        // Anything that is no length of time (negative, infinite) is no time.
        if let Ok(wait) = Duration::try_from_secs_f64(wait) {
            std::thread::sleep(wait);
        }
        cx.matched(event);
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self { count: 0.0, last: None, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, json_event, run};

    fn slept(settings: &str, events: &[&str]) -> Duration {
        let mut filter = build(&SLEEP, settings).unwrap();
        let start = std::time::Instant::now();
        for event in events {
            run(&mut *filter, &mut json_event(event));
        }
        start.elapsed()
    }

    #[test]
    fn waits_as_told() {
        let long = Duration::from_millis(50);
        assert!(slept(r#"{"time":"%{t}"}"#, &[r#"{"t":0.05}"#]) >= long);
        assert!(slept(r#"{"time":"0.05","every":"3"}"#, &["{}", "{}"]) < long);
        let times = [r#"{"@timestamp":"2024-01-01T00:00:00Z"}"#, r#"{"@timestamp":"2024-01-01T00:00:01Z"}"#];
        assert!(slept(r#"{"replay":true,"time":"20"}"#, &times) >= long);
        assert!(build(&SLEEP, "{}").is_err());
    }
}
