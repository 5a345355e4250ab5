//! `dead-letters`: what no output took, and what shall become of it. Works on a data directory, whether a program runs
//! on it or not.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use logstash_mesos_core::columns;
use logstash_mesos_core::pipeline::dead_letter::{Fate, Letter, Listing, Query, Selection, list, take};
use serde_json::json;

/// What to do with dead letters. Ends with 0, with 1 if nothing was found or a line is damaged, with 2 if it cannot be
/// done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows them, the oldest first
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Only those behind this one
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: u64,
    },
    /// Shows one of them, or several, with all that they hold
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Sends them to their outputs again: within a second where a program runs on the data directory, otherwise when it
    /// is started
    Replay {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        all: All,
    },
    /// Removes them
    Discard {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        all: All,
    },
}

/// Which dead letters are meant; all where nothing is said.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Their ids, as `list` shows them
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
    /// The data directory of `ship`, `pipeline run` or an agent
    #[arg(
        long,
        visible_alias = "path.data",
        value_name = "DIR",
        env = "LOGSTASH_MESOS_DATA_DIR",
        default_value = "/var/lib/logstash-mesos/ship"
    )]
    data_dir: PathBuf,
    /// Only those of one configuration, such as `host/a` or `a`
    #[arg(long, value_name = "NAME")]
    configuration: Option<String>,
    /// Only those of one plugin, by its id
    #[arg(long, value_name = "ID")]
    output: Option<String>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What changes something says what it is about.
#[derive(Debug, Args)]
pub(crate) struct All {
    /// All that there are, if no id, no configuration and no output is named
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Carries the command out and gives the exit code.
pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::List { which, limit, after } => {
            which.list(usize::try_from(limit).unwrap_or(usize::MAX), after)
        }
        Command::Show { which } => which.show(),
        Command::Replay { which, all } => which.take(&all, Fate::Replay),
        Command::Discard { which, all } => which.take(&all, Fate::Discard),
    };
    let (text, found) = match done {
        Ok(done) => done,
        Err(problem) => {
            let _nobody_reads = writeln!(std::io::stderr(), "error: {problem}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => crate::end_without_reader(),
        Err(_) => ExitCode::from(2),
        Ok(()) if found => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

/// What to print, and whether all is well.
type Done = Result<(String, bool), String>;

impl Which {
    fn query(&self, after: u64) -> Result<Query, String> {
        if !self.data_dir.is_dir() {
            return Err(format!(
                "there is no data directory {}: name it with --data-dir",
                self.data_dir.display()
            ));
        }
        let which = Selection { plugin_id: self.output.clone(), ids: self.ids.clone(), after };
        Ok(Query { configuration: self.configuration.clone(), which })
    }

    fn look(&self, limit: usize, after: u64) -> Result<Listing, String> {
        let failed = |error| format!("cannot read the dead letters in {}: {error}", self.data_dir.display());
        let listing = list(&self.data_dir, &self.query(after)?, limit).map_err(failed)?;
        for damage in &listing.damaged {
            let (path, line) = (damage.path.display(), damage.line);
            let _nobody_reads = writeln!(
                std::io::stderr(),
                "{path}, line {line}: no dead letter; the others are not affected"
            );
        }
        Ok(listing)
    }

    fn list(&self, limit: usize, after: u64) -> Done {
        let listing = self.look(limit, after)?;
        let text = match self.format {
            Format::Json => line(&json!({
                "letters": listing.letters,
                "next": listing.letters.last().filter(|_| listing.more).map(|last| last.id),
                "on_their_way": listing.on_their_way,
                "damaged_lines": listing.damaged.len(),
            })),
            Format::Table => table(&listing),
        };
        Ok((text, listing.damaged.is_empty()))
    }

    fn show(&self) -> Done {
        let (mut text, mut after, mut well) = (String::new(), 0, true);
        loop {
            let listing = self.look(usize::MAX, after)?;
            for letter in &listing.letters {
                match self.format {
                    Format::Json => text += &line(&json!(letter)),
                    Format::Table => text += &whole(letter),
                }
            }
            well &= listing.damaged.is_empty();
            match listing.letters.last().filter(|_| listing.more) {
                Some(last) => after = last.id,
                None => break,
            }
        }
        let found = !text.is_empty();
        Ok((text, found && well))
    }

    fn take(&self, all: &All, fate: Fate) -> Done {
        if self.ids.is_empty() && self.configuration.is_none() && self.output.is_none() && !all.all {
            return Err("say which ones: ids, --configuration, --output or --all".to_owned());
        }
        let failed =
            |error| format!("cannot change the dead letters in {}: {error}", self.data_dir.display());
        let count = take(&self.data_dir, &self.query(0)?, fate).map_err(failed)?;
        let text = match (self.format, fate) {
            (Format::Json, Fate::Replay) => line(&json!({ "replayed": count })),
            (Format::Json, Fate::Discard) => line(&json!({ "discarded": count })),
            (Format::Table, Fate::Replay) => format!("{count} on their way back to their outputs\n"),
            (Format::Table, Fate::Discard) => format!("{count} discarded\n"),
        };
        Ok((text, count > 0))
    }
}

fn line(value: &serde_json::Value) -> String {
    format!("{value}\n")
}

fn whole(letter: &Letter) -> String {
    let plugin = format!("{} {}", letter.plugin, letter.plugin_id);
    let lines = [
        ("id", letter.id.to_string()),
        ("time", letter.at.clone()),
        ("configuration", letter.configuration.clone()),
        ("plugin", plugin.trim_end().to_owned()),
        ("source", letter.source.to_string()),
        ("reason", letter.reason.clone()),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        // A String takes everything.
        let _ = writeln!(text, "{name:<14}{value}");
    }
    text + "\n" + letter.text().trim_end() + "\n\n"
}

fn table(listing: &Listing) -> String {
    let head = ["ID", "TIME", "CONFIGURATION", "OUTPUT", "SOURCE", "REASON"].map(str::to_owned).to_vec();
    let cells = |letter: &Letter| {
        vec![
            letter.id.to_string(),
            letter.at.clone(),
            letter.configuration.clone(),
            if letter.plugin_id.is_empty() { letter.plugin.clone() } else { letter.plugin_id.clone() },
            letter.source.to_string(),
            letter.reason.split_whitespace().collect::<Vec<_>>().join(" "),
        ]
    };
    let rows: Vec<_> = std::iter::once(head).chain(listing.letters.iter().map(cells)).collect();
    let mut text = columns(&rows);
    if listing.more {
        let last = listing.letters.last().map_or(0, |letter| letter.id);
        let _ = writeln!(text, "There are more: --after {last}");
    }
    if listing.on_their_way > 0 {
        let _ = writeln!(text, "On their way back to their outputs: {}", listing.on_their_way);
    }
    text
}
