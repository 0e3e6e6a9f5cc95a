//! What a file weighs, as it is and as servers send it.

use std::{fmt, fs, io::Write, path::Path};

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};

/// Bytes.
pub(super) struct Weight {
    raw: usize,
    gzip: usize,
    brotli: usize,
}

/// Compresses it as well as can be.
pub(super) fn weigh(path: &Path) -> Result<Weight> {
    let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&bytes)?;
    let mut small = Vec::new();
    brotli::CompressorWriter::new(&mut small, 4096, 11, 22).write_all(&bytes)?;
    Ok(Weight { raw: bytes.len(), gzip: gzip.finish()?.len(), brotli: small.len() })
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.raw, self.gzip, self.brotli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_weighs_less_as_it_is_sent() {
        let mut file = std::env::temp_dir();
        file.push(format!("rethread-weigh-{}", std::process::id()));
        fs::write(&file, "again ".repeat(1_000)).unwrap();
        let Weight { raw, gzip, brotli } = weigh(&file).unwrap();
        fs::remove_file(file).unwrap();
        assert_eq!(raw, 6_000);
        assert!(20 < gzip && gzip < 200, "{gzip}");
        assert!(5 < brotli && brotli < gzip, "{brotli}");
    }
}
