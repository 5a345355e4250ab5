//! Compressed files made of members that are whole, each with the records of one batch: whatever ends the program,
//! `gunzip` reads all that was acknowledged, for a gzip file may have any number of members (RFC 1952, 2.2).
//!
//! A member says its length in a field of its head, as those of BGZF do: where the last whole one ends is found
//! without unpacking the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use memchr::memmem;

/// How every member of ours begins: the fixed head, then a field `LM` of four bytes, which follow.
const HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'L', b'M', 4, 0];
const LENGTH_AT: usize = HEAD.len();
const HEAD_LEN: usize = LENGTH_AT + 4;

/// One whole member.
pub(super) fn member<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
    let field = [&HEAD[12..], &[0; 4]].concat();
    let mut encoder = GzBuilder::new().extra(field).write(Vec::new(), Compression::default());
    for piece in pieces {
        encoder.write_all(piece)?;
    }
    let mut member = encoder.finish()?;
    // Zero where it does not fit: such a member is unpacked to find its end.
    let length = u32::try_from(member.len()).unwrap_or(0);
    member[LENGTH_AT..HEAD_LEN].copy_from_slice(&length.to_le_bytes());
    Ok(member)
}

/// The length that a member of ours says it has.
fn stated_length(head: &[u8]) -> Option<u64> {
    let length = head.strip_prefix(&HEAD)?.first_chunk::<4>()?;
    Some(u64::from(u32::from_le_bytes(*length))).filter(|length| *length > HEAD_LEN as u64)
}

/// Makes a file end with a whole member, so that what is appended can be read.
///
/// A torn member of ours was never acknowledged: it is cut off. Of any other, which may have been, the lines that can
/// be unpacked are kept: the file is written anew beside itself and takes its own place.
pub(super) fn mend(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    // Where there are no locks nobody else writes, one hopes.
    let _none_there = file.lock();
    let len = file.metadata()?.len();
    if ends_whole(&file, len)? {
        return Ok(());
    }
    let whole = whole_until(&file, len)?;
    if whole == len {
        return Ok(());
    }
    let mut head = [0; HEAD_LEN];
    let read = file.read_at(&mut head, whole)?;
    let torn_gzip = head[..read].iter().zip(HEAD).take(2).all(|(have, want)| *have == want);
    let is_ours = head[..read].iter().zip(HEAD).all(|(have, want)| *have == want);
    // A power cut leaves NUL bytes.
    if whole == 0 && !torn_gzip && head[0] != 0 {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "is no gzip file, so what is appended could not be read: move it away, or set another `path`",
        ));
    }
    let rescued = if is_ours || !torn_gzip {
        file.set_len(whole)?;
        0
    } else {
        write_anew(path, &file, &metadata, whole)?
    };
    tracing::warn!(
        file = %path.display(), damaged_bytes = len - whole, rescued_bytes = rescued,
        "Compressed file did not end with a whole member, mended"
    );
    Ok(())
}

/// Whether the file ends with a whole member of ours: the usual case, which costs one look at its end.
fn ends_whole(file: &File, len: u64) -> io::Result<bool> {
    // A batch is seldom longer; a longer one is found by going through the file.
    for window in [64 << 10, 8 << 20] {
        let from = len.saturating_sub(window);
        let mut tail = Vec::new();
        let mut reader = file;
        reader.seek(SeekFrom::Start(from))?;
        reader.take(len - from).read_to_end(&mut tail)?;
        for start in memmem::rfind_iter(&tail, &HEAD) {
            let rest = &tail[start..];
            if stated_length(rest) == Some(rest.len() as u64) {
                return Ok(io::copy(&mut GzDecoder::new(rest), &mut io::sink()).is_ok());
            }
        }
        if from == 0 {
            break;
        }
    }
    Ok(false)
}

/// Where the last whole member ends.
fn whole_until(file: &File, len: u64) -> io::Result<u64> {
    let mut at = 0;
    while at < len {
        let mut head = [0; HEAD_LEN];
        let read = file.read_at(&mut head, at)?;
        match stated_length(&head[..read]) {
            Some(length) if at + length < len => at += length,
            _ => match unpacked_until(file, at)? {
                Some(end) => at = end,
                None => break,
            },
        }
    }
    Ok(at)
}

/// Where the member at `at` ends, if it is whole.
fn unpacked_until(mut file: &File, at: u64) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(at))?;
    let mut reader = BufReader::with_capacity(64 << 10, file);
    match io::copy(&mut GzDecoder::new(&mut reader), &mut io::sink()) {
        Ok(_) => reader.stream_position().map(Some),
        Err(error) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => Ok(None),
            _ => Err(error),
        },
    }
}

/// Keeps the first `whole` bytes and the lines of the torn member behind them. Says how many bytes of lines.
fn write_anew(path: &Path, mut file: &File, metadata: &fs::Metadata, whole: u64) -> io::Result<u64> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".mending");
    let beside = PathBuf::from(beside);
    let mut anew = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut file.take(whole), &mut anew)?;
    let mut encoder = GzEncoder::new(&mut anew, Compression::default());
    let rescued = copy_lines(GzDecoder::new(BufReader::new(file)), &mut encoder)?;
    encoder.finish()?;
    fchown(&anew, Some(metadata.uid()), Some(metadata.gid()))?;
    anew.set_permissions(metadata.permissions())?;
    anew.sync_all()?;
    fs::rename(&beside, path)?;
    Ok(rescued)
}

/// Half a line is left out: the next one would become its other half.
fn copy_lines(torn: impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut torn = BufReader::new(torn);
    let (mut line, mut copied) = (Vec::new(), 0);
    while torn.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) && line.ends_with(b"\n") {
        to.write_all(&line)?;
        copied += line.len() as u64;
        line.clear();
    }
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn text(path: &Path) -> io::Result<String> {
        let mut text = String::new();
        MultiGzDecoder::new(File::open(path)?).read_to_string(&mut text)?;
        Ok(text)
    }

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    fn ours(text: &str) -> Vec<u8> {
        member([text.as_bytes()].into_iter()).unwrap()
    }

    /// As `gzip` and Logstash write: no length, and flushed without an end while it is open.
    fn open_member(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.flush().unwrap();
        encoder.get_ref().clone()
    }

    #[test]
    fn a_member_torn_anywhere_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.gz");
        let (first, second) = (ours("first\n"), ours("second\n"));
        assert_eq!(stated_length(&first), Some(first.len() as u64));
        for cut in 0..=second.len() {
            fs::write(&path, [&first[..], &second[..cut]].concat()).unwrap();
            mend(&path).unwrap();
            append(&path, &ours("third\n"));
            let expected = if cut == second.len() { "first\nsecond\nthird\n" } else { "first\nthird\n" };
            assert_eq!(text(&path).unwrap(), expected, "{cut}");
        }
        // Behind a power cut there are NUL bytes, in place of the member or of its end.
        for cut in [0, 5, HEAD_LEN, second.len() - 4] {
            let zeros = vec![0; second.len() - cut];
            fs::write(&path, [&first[..], &second[..cut], &zeros].concat()).unwrap();
            mend(&path).unwrap();
            append(&path, &ours("third\n"));
            assert_eq!(text(&path).unwrap(), "first\nthird\n", "{cut}");
        }
    }

    #[test]
    fn the_lines_of_a_member_that_others_left_open_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.gz");
        let closed = {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(b"a\n").unwrap();
            encoder.finish().unwrap()
        };
        fs::write(&path, [closed, ours("b\n"), open_member("c\nd\nhalf a li")].concat()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        mend(&path).unwrap();
        append(&path, &ours("e\n"));
        assert_eq!(text(&path).unwrap(), "a\nb\nc\nd\ne\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_gzip_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.log");
        fs::write(&path, "plain text\n").unwrap();
        assert!(mend(&path).unwrap_err().to_string().contains("move it away"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "plain text\n");
        fs::write(&path, "").unwrap();
        mend(&path).unwrap();
    }

    #[test]
    fn a_long_file_is_judged_by_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.gz");
        let noise: String =
            (0..40_000_u32).map(|n| n.wrapping_mul(n).wrapping_mul(2_654_435_761).to_string()).collect();
        fs::write(&path, [open_member("x\n"), ours(&noise), ours("end\n")].concat()).unwrap();
        let file = File::open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        assert!(ends_whole(&file, len).unwrap() && len > 64 << 10, "{len}");
        assert!(!ends_whole(&file, len - 1).unwrap());
    }
}
