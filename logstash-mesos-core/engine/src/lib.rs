//! Runs the filters of Logstash configurations over events, in the thread that asks: no runtime, no network.
//!
//! A text in Logstash's language is compiled, with every complaint about it at once, into filters that take events and give
//! events. The filters and codecs of Logstash are here, and grok with its patterns; inputs, outputs and the pipelines that
//! run them are in `logstash-mesos-core`.
//!
//! ```
//! use logstash_mesos_engine::compile::{CompileOptions, compile};
//! use logstash_mesos_engine::event::{Event, FieldReference, Text, Timestamp};
//! use logstash_mesos_engine::registry;
//!
//! let text = r#"filter { grok { match => { "message" => "%{IP:client} %{WORD:verb}" } } mutate { lowercase => ["verb"] } }"#;
//! let compiled = compile(text, &CompileOptions::new(registry::catalog()))?;
//! let mut filters = compiled.filters.fork();
//!
//! let events = vec![Event::from_message(Text::from("10.0.0.1 GET /"), Timestamp::now())];
//! let events = filters.run(events);
//! assert!(events[0].get_text(&FieldReference::field("verb")).is_some_and(|verb| verb == "get"));
//! # Ok::<(), logstash_mesos_engine::lang::Diagnostics>(())
//! ```
//!
//! | you want to | look at |
//! | --- | --- |
//! | compile a configuration, or only check it | [`compile::compile`], [`compile::check_syntax`] |
//! | send events through filters | [`run::FilterGraph::fork`], [`run::FilterWorker::run`] |
//! | make an event, read and write its fields | [`event::Event`], [`event::FieldReference`] |
//! | show what is wrong with a configuration | [`lang::Diagnostics`] |
//! | bring a filter or codec of your own | [`plugin::PluginSpec`], [`plugin::Catalog::with`] |
//! | match grok patterns without a filter | [`grok::Grok`] |
//!
//! The rooms import each other in one direction only: [`time`], [`compat::java`], [`event`], [`compat::ruby`], [`tools`],
//! [`lang`], [`grok`], [`plugin`], [`run`], the plugins themselves (`filter`, `codec`), [`registry`], [`compile`]: each only those
//! named before it.

mod codec;
pub mod compat;
pub mod compile;
pub mod event;
mod filter;
pub mod grok;
pub mod lang;
pub mod plugin;
pub mod registry;
pub mod run;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod tools;
