use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::super::letter::Form;
use super::*;

fn letter(record: &str) -> Letter {
    Letter::new("es", "elasticsearch", "no", Form::Record, record.as_bytes())
}

fn append(store: &Store, records: &[&str], settings: &DeadLetterSettings) -> Appended {
    let mut letters: Vec<_> = records.iter().map(|record| letter(record)).collect();
    let mut done = Appended::default();
    store.append("host/a", &mut letters, settings, &mut done).unwrap();
    done
}

fn all(store: &Store) -> Vec<Letter> {
    let mut found = Vec::new();
    let damaged = store.read(&Selection::default(), |letter| {
        found.push(letter);
        true
    });
    assert_eq!(damaged.unwrap(), []);
    found
}

fn records(store: &Store) -> Vec<String> {
    all(store).iter().map(|letter| letter.text().to_owned()).collect()
}

fn last_file(store: &Store) -> PathBuf {
    store.segments().unwrap().pop().unwrap().path
}

#[test]
fn letters_are_listed_in_order_discarded_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "host/a");
    assert_eq!(store.take(&Selection::default(), Fate::Discard).unwrap(), 0);
    assert!(!dir.path().join("dead-letters").exists(), "nothing is made by looking");
    let settings = DeadLetterSettings::default();
    append(&store, &["a", "b"], &settings);
    append(&store, &["c"], &settings);
    let found = all(&store);
    assert_eq!(records(&store), ["a", "b", "c"]);
    assert!(found.is_sorted_by(|a, b| a.id < b.id));
    assert!(found[0].configuration == "host/a" && found[0].at.ends_with('Z'), "{:?}", found[0]);
    for path in [last_file(&store), store.directory.join("lock")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "it holds log data");
    }
    let one = Selection { ids: vec![found[1].id], ..Selection::default() };
    assert_eq!(store.take(&one, Fate::Discard).unwrap(), 1);
    assert_eq!(store.take(&one, Fate::Discard).unwrap(), 0);
    let other = Selection { plugin_id: Some("other".to_owned()), ..Selection::default() };
    assert_eq!(store.take(&other, Fate::Replay).unwrap(), 0);
    assert_eq!(
        store.take(&Selection { ids: vec![found[0].id], ..Selection::default() }, Fate::Replay).unwrap(),
        1
    );
    assert_eq!(records(&store), ["c"]);
    let (waiting, on_their_way) = store.census().unwrap();
    assert_eq!((waiting.letters, on_their_way.letters), (1, 1));
    let (again, damaged) = letters_in(&store.replays().unwrap()[0]).unwrap();
    assert_eq!((again, damaged), (vec![found[0].clone()], 0));
    // Later letters have later numbers, also when those before are gone.
    assert_eq!(store.take(&Selection::default(), Fate::Discard).unwrap(), 1);
    append(&store, &["d"], &settings);
    assert!(all(&store)[0].id > found[2].id);
    assert_eq!(Store::all(dir.path()).unwrap()[0].configuration(), "host/a");
}

#[test]
fn a_name_of_any_length_is_a_directory_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let long = "ä/".repeat(300);
    for name in ["..", ".", "a/../b", "a%2Fb", "a/b", &long, &format!("{long}x")] {
        let store = Store::of(dir.path(), name);
        append(&store, &[name], &DeadLetterSettings::default());
        assert_eq!(records(&store), [name]);
    }
    assert_eq!(Store::all(dir.path()).unwrap().len(), 7);
}

#[test]
fn the_policy_says_which_letters_go_and_each_is_counted() {
    for policy in [StoragePolicy::DropNewer, StoragePolicy::DropOlder] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::of(dir.path(), "host/a");
        let settings = DeadLetterSettings { max_bytes: 64 << 10, policy, retain: None };
        let large = "x".repeat(3000);
        let mut sum = Appended::default();
        for number in 0..100 {
            let record = format!("{number} {large}");
            let done = append(&store, &[&record, &record], &settings);
            sum.stored += done.stored;
            sum.refused += done.refused;
            sum.displaced += done.displaced;
        }
        assert_eq!(append(&store, &[&"x".repeat(70_000)], &settings).stored, 0, "larger than all there is");
        let found = records(&store);
        let (waiting, _) = store.census().unwrap();
        assert!(waiting.bytes <= 64 << 10 && waiting.bytes > 40 << 10, "{waiting:?}");
        assert_eq!(sum.stored + sum.refused, 200);
        match policy {
            StoragePolicy::DropNewer => {
                assert_eq!((sum.stored, sum.displaced), (found.len() as u64, 0));
                assert!(found[0].starts_with("0 "));
            }
            StoragePolicy::DropOlder => {
                assert_eq!(sum.refused, 0);
                assert_eq!(sum.stored - sum.displaced, found.len() as u64);
                assert!(found.last().is_some_and(|last| last.starts_with("99 ")));
            }
        }
    }
}

#[test]
fn letters_that_were_put_out_are_counted_though_the_next_one_cannot_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "host/a");
    let settings = DeadLetterSettings { max_bytes: 64 << 10, policy: StoragePolicy::DropOlder, retain: None };
    let record = "x".repeat(3000);
    while append(&store, &[&record], &settings).dropped() == 0 {}
    let segments = store.segments().unwrap();
    let put_out = count_lines(&segments[0].path).unwrap();
    assert!(put_out > 0);
    // The second one cannot be put out.
    fs::remove_file(&segments[1].path).unwrap();
    fs::create_dir(&segments[1].path).unwrap();
    let mut done = Appended::default();
    store.append("host/a", &mut [letter(&"x".repeat(30_000))], &settings, &mut done).unwrap_err();
    assert_eq!(done, Appended { displaced: put_out, ..Appended::default() });
}

#[test]
fn letters_that_are_refused_again_have_the_room_they_had() {
    for policy in [StoragePolicy::DropNewer, StoragePolicy::DropOlder] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::of(dir.path(), "host/a");
        let settings = DeadLetterSettings { max_bytes: 64 << 10, policy, retain: None };
        let record = "x".repeat(3000);
        while append(&store, &[&record], &settings).dropped() == 0 {}
        let there = records(&store);
        assert_eq!(store.take(&Selection::default(), Fate::Replay).unwrap(), there.len() as u64);
        for record in &there {
            assert_eq!(append(&store, &[record], &settings), Appended { stored: 1, ..Appended::default() });
        }
        assert_eq!(records(&store), there, "{policy:?}");
    }
}

#[test]
fn letters_expire_by_files_the_newest_of_each_decides() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "host/a");
    let settings =
        DeadLetterSettings { retain: Some(Duration::from_secs(60)), ..DeadLetterSettings::default() };
    append(&store, &["old", "older"], &settings);
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(last_file(&store)).unwrap().set_modified(hour_ago).unwrap();
    let done = append(&store, &["new"], &settings);
    assert_eq!((done.expired, done.stored), (2, 1));
    assert_eq!(records(&store), ["new"]);
    assert_eq!(append(&store, &["newer"], &settings).expired, 0);
}

#[test]
fn a_damaged_line_costs_itself_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "host/a");
    append(&store, &["a", "b", "c"], &DeadLetterSettings::default());
    let path = last_file(&store);
    let text = fs::read_to_string(&path).unwrap().replacen("\"b\"", "\"b", 1);
    fs::write(&path, text).unwrap();
    let mut found = Vec::new();
    let damaged = store.read(&Selection::default(), |letter| {
        found.push(letter.text().to_owned());
        true
    });
    assert_eq!(damaged.unwrap(), [Damage { path: path.clone(), line: 2 }]);
    assert_eq!(found, ["a", "c"]);
    let first = Selection { plugin_id: Some("es".to_owned()), ..Selection::default() };
    assert_eq!(store.take(&first, Fate::Discard).unwrap(), 2);
    assert_eq!(store.take(&Selection::default(), Fate::Replay).unwrap(), 0);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1, "it is left for a person to look at");
    store.take(&Selection::default(), Fate::Discard).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_clock_that_was_set_back_costs_no_letter_that_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let settings = DeadLetterSettings::default();
    append(&Store::of(dir.path(), "host/a"), &["first"], &settings);
    let mut of_tomorrow = letter("of tomorrow");
    of_tomorrow.stamp(now_micros() + 86_400_000_000, "host/a");
    let path = last_file(&Store::of(dir.path(), "host/a"));
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(&of_tomorrow.line()).unwrap();
    for record in ["one", "other"] {
        // By a process that knows no more than what is there.
        let store = Store::of(dir.path(), "host/a");
        append(&store, &[record], &settings);
        let id = all(&store).pop().unwrap().id;
        let which = Selection { ids: vec![id], ..Selection::default() };
        assert_eq!(store.take(&which, Fate::Replay).unwrap(), 1);
    }
    let replays = Store::of(dir.path(), "host/a").replays().unwrap();
    let found: Vec<_> = replays.iter().flat_map(|path| letters_in(path).unwrap().0).collect();
    assert_eq!(found.iter().map(|letter| letter.text().to_owned()).collect::<Vec<_>>(), ["one", "other"]);
}

#[derive(Clone, Debug)]
enum Step {
    /// So many letters at once.
    Append(usize),
    /// The program is killed while it writes so many letters, after so many thousandths of their bytes.
    Crash(usize, usize),
    /// One of those there are is discarded, or taken back.
    Take(usize, bool),
    /// Another process takes the store over.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..4_usize).prop_map(Step::Append),
        (1..4_usize, 0..1000_usize).prop_map(|(count, part)| Step::Crash(count, part)),
        (0..20_usize, any::<bool>()).prop_map(|(at, replay)| Step::Take(at, replay)),
        Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Against a plain list: what was stored stays until it is taken, in order, whenever a crash comes.
    #[test]
    fn the_store_is_a_list_whatever_crashes(steps in prop::collection::vec(step(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let settings = DeadLetterSettings::default();
        let mut store = Store::of(dir.path(), "host/a");
        let (mut expected, mut on_their_way, mut number) = (Vec::<String>::new(), 0, 0);
        for step in steps {
            match step {
                Step::Append(count) => {
                    let new: Vec<_> = (0..count).map(|n| format!("{}{}", number + n, "é\n\"".repeat(n))).collect();
                    number += count;
                    let borrowed: Vec<_> = new.iter().map(String::as_str).collect();
                    prop_assert_eq!(append(&store, &borrowed, &settings).stored, count as u64);
                    expected.extend(new);
                }
                Step::Crash(count, part) => {
                    let mut torn = Vec::new();
                    for n in 0..count {
                        let mut one = letter(&(number + n).to_string());
                        one.stamp(now_micros() + n as u64 + 1_000_000, "host/a");
                        torn.extend(one.line());
                    }
                    torn.truncate(torn.len() * part / 1000);
                    let Some(path) = store.segments().unwrap().pop() else { continue };
                    // What an earlier crash left is cut off before anything is written.
                    let mut content: Vec<u8> = whole_lines(&fs::read(&path.path).unwrap()).flatten().copied().collect();
                    content.extend(&torn);
                    fs::write(&path.path, &content).unwrap();
                    // Whole lines are letters: nobody was told that they are stored, but they are.
                    let whole = usize::try_from(newlines(&torn)).unwrap();
                    expected.extend((0..whole).map(|n| (number + n).to_string()));
                    number += count;
                    store = Store::of(dir.path(), "host/a");
                }
                Step::Take(at, replay) => {
                    let found = all(&store);
                    let Some(one) = found.get(at) else { continue };
                    let which = Selection { ids: vec![one.id], ..Selection::default() };
                    let fate = if replay { Fate::Replay } else { Fate::Discard };
                    prop_assert_eq!(store.take(&which, fate).unwrap(), 1);
                    expected.remove(at);
                    on_their_way += u64::from(replay);
                }
                Step::Reopen => store = Store::of(dir.path(), "host/a"),
            }
            prop_assert_eq!(records(&store), expected.clone());
            let (waiting, back) = store.census().unwrap();
            prop_assert!(all(&store).is_sorted_by(|a, b| a.id < b.id));
            prop_assert_eq!((waiting.letters, back.letters), (expected.len() as u64, on_their_way));
        }
    }
}
