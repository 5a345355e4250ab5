//! The bytes of a file of a stream: as they lie there, or unpacked.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;

use flate2::read::MultiGzDecoder;

use super::fingerprint::read_at;
use super::{Fingerprint, Mark};

/// Read from any place; going back in a compressed one begins it again.
#[derive(Debug)]
pub(super) enum Body {
    Plain(File),
    Gzip { file: File, unpacking: Option<Box<Unpacking>> },
}

#[derive(Debug)]
pub(super) struct Unpacking {
    decoder: MultiGzDecoder<File>,
    at: u64,
}

impl Body {
    pub(super) fn new(file: File, compressed: bool) -> Self {
        if compressed { Self::Gzip { file, unpacking: None } } else { Self::Plain(file) }
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Self::Plain(file) | Self::Gzip { file, .. } => file,
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Reads from `at` on into the room that `into` has. Returns how much came, 0 at the end.
    pub(super) fn read_at(&mut self, into: &mut Vec<u8>, at: u64) -> io::Result<usize> {
        let (file, unpacking) = match self {
            Self::Plain(file) => loop {
                match rustix::io::pread(&*file, rustix::buffer::spare_capacity(into), at) {
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                    Ok(n) => return Ok(n),
                }
            },
            Self::Gzip { file, unpacking } => (file, unpacking),
        };
        let unpacked = match unpacking.take().filter(|unpacking| unpacking.at <= at) {
            Some(unpacking) => *unpacking,
            None => Unpacking::of(file)?,
        };
        let (unpacked, read) = unpacked.read(into, at)?;
        *unpacking = Some(Box::new(unpacked));
        Ok(read)
    }

    /// As many of the first bytes as a fingerprint covers at most.
    pub(super) fn head(&mut self) -> io::Result<Vec<u8>> {
        if let Self::Plain(file) = self {
            return Fingerprint::head(file);
        }
        let mut head = Vec::with_capacity(Fingerprint::MOST);
        self.read_at(&mut head, 0)?;
        Ok(head)
    }

    /// Whether the bytes of `mark` are there. What lies far behind the beginning of a compressed file is not unpacked to find out:
    /// `None`.
    pub(super) fn has(&mut self, mark: &Mark) -> io::Result<Option<bool>> {
        if let Self::Plain(file) = self {
            return mark.matches(file).map(Some);
        }
        if mark.end > MOST_UNPACKED {
            return Ok(None);
        }
        let Some((start, len)) = mark.place() else { return Ok(Some(false)) };
        let mut found = Vec::with_capacity(len);
        self.read_at(&mut found, start)?;
        found.truncate(len);
        Ok(Some(mark.is_of(&found)))
    }

    /// Whether what is in a compressed file, as far as it can be unpacked by now, is what `plain` begins with; and then, whether
    /// it is all that `plain` holds. What lies far behind its beginning is not unpacked to find out.
    pub(super) fn repeats(&mut self, plain: &File) -> io::Result<Repeats> {
        let (mut at, mut bytes, mut same) = (0, Vec::with_capacity(CHUNK), vec![0; CHUNK]);
        loop {
            bytes.clear();
            let read = self.read_at(&mut bytes, at);
            let same = same.get_mut(..bytes.len()).unwrap_or_default();
            if read_at(plain, same, at)? < bytes.len() || *same != bytes {
                return Ok(Repeats::Nothing);
            }
            at += bytes.len() as u64;
            match read {
                Ok(0) if at == plain.metadata()?.len() => return Ok(Repeats::All),
                Ok(0) => return Ok(Repeats::Beginning),
                Ok(_) if at < MOST_UNPACKED => {}
                Ok(_) => return Ok(Repeats::SoFar),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Repeats::SoFar),
                Err(error) => return Err(error),
            }
        }
    }

    /// How many bytes there are when unpacked; of a compressed file, the last four bytes say it, modulo 4 GiB.
    pub(super) fn len(&self) -> io::Result<u64> {
        let len = self.file().metadata()?.len();
        if self.is_plain() || len < 4 {
            return Ok(len);
        }
        let mut size = [0; 4];
        self.file().read_exact_at(&mut size, len - 4)?;
        Ok(u64::from(u32::from_le_bytes(size)))
    }
}

/// What a compressed file holds of a plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    /// All of it.
    All,
    /// It is whole, and holds what the plain one begins with.
    Beginning,
    /// It holds what the plain one begins with, and goes on.
    SoFar,
    /// Something else.
    Nothing,
}

/// So much is compared at a time,
const CHUNK: usize = 16 << 10;
/// and so much of a file at most is unpacked to compare it: others wait meanwhile.
const MOST_UNPACKED: u64 = 64 << 20;

impl Unpacking {
    fn of(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        Ok(Self { decoder: MultiGzDecoder::new(file), at: 0 })
    }

    fn read(mut self, into: &mut Vec<u8>, at: u64) -> io::Result<(Self, usize)> {
        self.at += io::copy(&mut self.decoder.by_ref().take(at - self.at), &mut io::sink())?;
        if self.at < at {
            return Ok((self, 0));
        }
        let room = into.capacity() - into.len();
        let read = self.decoder.by_ref().take(room as u64).read_to_end(into)?;
        self.at += read as u64;
        Ok((self, read))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_compressed_file_is_read_from_any_place() {
        let text: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&text).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&packed.finish().unwrap()).unwrap();
        let mut body = Body::new(file, true);
        assert_eq!(body.len().unwrap(), text.len() as u64);
        assert_eq!(body.head().unwrap(), text[..Fingerprint::MOST]);
        for at in [0, 100, 150_000, 7] {
            let mut found = Vec::with_capacity(1000);
            assert_eq!(body.read_at(&mut found, at as u64).unwrap(), found.len());
            assert_eq!(found, text[at..at + found.len()], "from {at}");
            assert!(found.len() >= 1000);
        }
        let mut none = Vec::with_capacity(10);
        assert_eq!(body.read_at(&mut none, text.len() as u64).unwrap(), 0);
        // Half of it is an error and not the end.
        let whole = body.file().metadata().unwrap().len();
        body.file().set_len(whole / 2).unwrap();
        let mut all = Vec::with_capacity(text.len());
        assert!(Body::new(body.file().try_clone().unwrap(), true).read_at(&mut all, 0).is_err());
    }
}
