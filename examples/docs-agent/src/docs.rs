//! The folder of documents: which files count, their passages, and the way from a path that
//! somebody wrote to a file that may be read.

use std::{
    collections::HashSet,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Component, Path, PathBuf},
};

use crate::{
    limits::{FILE_BYTES_MAX, FILES_MAX, FOLDER_BYTES_MAX, FOLDER_DEPTH_MAX},
    passage::{Passage, split},
};

/// Folders that hold what programs made, not what people wrote. Hidden ones are skipped as well.
const SKIPPED_FOLDERS: [&str; 4] = ["target", "node_modules", "dist", "data"];
const PROSE: [&str; 5] = ["md", "markdown", "txt", "rst", "adoc"];
const CODE: [&str; 27] = [
    "rs", "toml", "json", "yaml", "yml", "js", "mjs", "ts", "tsx", "jsx", "css", "html", "py",
    "sh", "go", "c", "h", "cpp", "hpp", "java", "kt", "rb", "php", "sql", "proto", "ini", "cfg",
];
const GENERATED: [&str; 2] = ["package-lock.json", "npm-shrinkwrap.json"];

/// A folder of text files, split into passages. Read once; `read_file` reads the disk again.
#[derive(Debug)]
pub(crate) struct Docs {
    root: PathBuf,
    /// The documents, by their paths within the folder, with `/`, sorted.
    pub(crate) files: Vec<String>,
    /// All their passages.
    pub(crate) passages: Vec<Passage>,
    /// Files that a limit left out.
    pub(crate) left_out: usize,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocsError {
    #[error(
        "cannot open the documents folder {path}: {source}; name an existing one with --docs DIR"
    )]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a folder; name one with --docs DIR")]
    NotAFolder { path: PathBuf },
    #[error(
        "there are no text files in {path} (looked for *.md, *.txt, *.rs, *.toml and the like, \
         outside of hidden folders, target, node_modules, dist and data); \
         name another folder with --docs DIR"
    )]
    Empty { path: PathBuf },
}

/// Why a path is not read. Each says what to do instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error("`path` is empty; give a path within the documents folder, such as README.md")]
    Empty,
    #[error("{0:?} is an absolute path; give one within the documents folder, such as README.md")]
    Absolute(String),
    #[error("{0:?} leads out of the documents folder; only files within it may be read")]
    Outside(String),
    #[error("{0:?} is not a document: only text files outside of hidden and build folders are")]
    NotADocument(String),
    #[error("there is no file {0:?} in the documents folder; `search` names those there are")]
    NotFound(String),
    #[error("{path:?} has {bytes} bytes, at most {FILE_BYTES_MAX} are read")]
    TooLarge { path: String, bytes: u64 },
    #[error("cannot read {path:?}: {reason}")]
    Unreadable { path: String, reason: String },
}

impl Docs {
    /// Reads a folder.
    ///
    /// # Errors
    /// When it is not there, not a folder, or has no text files.
    pub(crate) fn open(folder: &Path) -> Result<Self, DocsError> {
        let path = || folder.to_owned();
        let root = fs::canonicalize(folder)
            .map_err(|source| DocsError::Unreadable { path: path(), source })?;
        if !root.is_dir() {
            return Err(DocsError::NotAFolder { path: path() });
        }
        let mut found = Vec::new();
        walk(&root, 0, &mut found)
            .map_err(|source| DocsError::Unreadable { path: path(), source })?;
        found.sort();
        let mut docs = Self { root, files: Vec::new(), passages: Vec::new(), left_out: 0 };
        let (mut bytes, mut texts) = (0, HashSet::new());
        for path in found {
            let size = fs::metadata(&path).map_or(u64::MAX, |meta| meta.len());
            let fits = size <= FILE_BYTES_MAX && bytes + size <= FOLDER_BYTES_MAX;
            if !fits || docs.files.len() == FILES_MAX {
                docs.left_out += 1;
                continue;
            }
            let Some(text) = fs::read(&path).ok().and_then(|bytes| text(bytes).ok()) else {
                continue;
            };
            // A copy, such as one that a build made, would be found twice.
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            if !text.is_empty() && !texts.insert(hasher.finish()) {
                continue;
            }
            bytes += size;
            let name = docs.name(&path);
            docs.passages.extend(split(&name, &text, is_prose(&path)));
            docs.files.push(name);
        }
        if docs.files.is_empty() {
            return Err(DocsError::Empty { path: path() });
        }
        Ok(docs)
    }

    /// Reads the text of a document as it is on the disk now.
    ///
    /// # Errors
    /// When the path is not one of a document within the folder, or the file cannot be read.
    pub(crate) fn read(&self, path: &str) -> Result<(String, String), PathError> {
        let file = self.resolve(path)?;
        let unreadable = |reason: String| PathError::Unreadable { path: path.to_owned(), reason };
        let bytes = fs::metadata(&file).map_err(|error| unreadable(error.to_string()))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(PathError::TooLarge { path: path.to_owned(), bytes });
        }
        let bytes = fs::read(&file).map_err(|error| unreadable(error.to_string()))?;
        let text = text(bytes).map_err(|reason| unreadable(reason.to_owned()))?;
        Ok((self.name(&file), text))
    }

    /// The file that a path names. The path is checked as written, and again where it leads after
    /// links are followed, so that no link opens a way out or to a hidden file.
    fn resolve(&self, path: &str) -> Result<PathBuf, PathError> {
        if path.trim().is_empty() {
            return Err(PathError::Empty);
        }
        let written = Path::new(path);
        if written.is_absolute() || path.starts_with(['\\', '~']) {
            return Err(PathError::Absolute(path.to_owned()));
        }
        if written
            .components()
            .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(PathError::Outside(path.to_owned()));
        }
        let file = fs::canonicalize(self.root.join(written)).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return PathError::NotFound(path.to_owned());
            }
            PathError::Unreadable { path: path.to_owned(), reason: error.to_string() }
        })?;
        let Ok(inside) = file.strip_prefix(&self.root) else {
            return Err(PathError::Outside(path.to_owned()));
        };
        let skipped = inside.parent().is_some_and(|folders| {
            folders.components().any(|part| is_skipped(&part.as_os_str().to_string_lossy()))
        });
        if skipped || !file.is_file() || !is_document(&file) {
            return Err(PathError::NotADocument(path.to_owned()));
        }
        Ok(file)
    }

    fn name(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        let parts: Vec<_> =
            inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        parts.join("/")
    }
}

/// Collects the documents below a folder. Links are not followed: what they lead to is either in the
/// folder anyway or outside.
fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_file() && is_document(&path) {
            found.push(path);
        } else if kind.is_dir()
            && depth < FOLDER_DEPTH_MAX
            && !is_skipped(&entry.file_name().to_string_lossy())
        {
            // A folder that may not be read is no reason to do without the others.
            if let Err(error) = walk(&path, depth + 1, found) {
                tracing::warn!(folder = %path.display(), %error, "left out");
            }
        }
    }
    Ok(())
}

fn is_skipped(folder: &str) -> bool {
    folder.starts_with('.') || SKIPPED_FOLDERS.contains(&folder)
}

fn is_document(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let known = is_prose(path) || CODE.contains(&extension.as_str());
    known && !name.starts_with('.') && !GENERATED.contains(&name.as_ref())
}

fn is_prose(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    PROSE.contains(&extension.as_str())
}

fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.contains(&0) {
        return Err("it is not a text file");
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("docs/README.md", b"# Title\n\nWords.\n");
        write("docs/sub/notes.txt", b"Notes.\n");
        write("docs/sub/zz_copy.md", b"# Title\n\nWords.\n");
        write("docs/.env", b"SECRET=1\n");
        write("docs/.git/config.toml", b"secret = 1\n");
        write("docs/target/out.md", b"built\n");
        write("docs/blob.md", b"\x00\x01\x02");
        write("docs/picture.png", b"png");
        write("docs/large.txt", &vec![b'a'; FILE_BYTES_MAX as usize + 1]);
        write("outside.md", b"outside\n");
        folder
    }

    #[test]
    fn text_files_outside_of_hidden_and_build_folders_are_documents_once() {
        let folder = folder();
        let docs = Docs::open(&folder.path().join("docs")).unwrap();
        assert_eq!(docs.files, ["README.md", "sub/notes.txt"]);
        assert_eq!(docs.left_out, 1, "the large file");
        assert_eq!(docs.read("./sub/notes.txt").unwrap().1, "Notes.\n");
    }

    #[test]
    fn no_path_leads_out_of_the_folder_or_to_what_is_hidden() {
        let folder = folder();
        let docs_folder = folder.path().join("docs");
        #[cfg(unix)]
        for (link, to) in [
            ("out.md", "../outside.md"),
            ("out_folder", ".."),
            ("hidden.md", ".env"),
            ("git.toml", ".git/config.toml"),
            ("inside.md", "sub/notes.txt"),
        ] {
            std::os::unix::fs::symlink(to, docs_folder.join(link)).unwrap();
        }
        let docs = Docs::open(&docs_folder).unwrap();
        let absolute = folder.path().join("outside.md").display().to_string();
        for (path, says) in [
            ("", "is empty"),
            ("  ", "is empty"),
            (absolute.as_str(), "is an absolute path"),
            ("/etc/passwd", "is an absolute path"),
            ("~/.ssh/id_rsa", "is an absolute path"),
            ("\\\\host\\share", "is an absolute path"),
            ("../outside.md", "leads out of"),
            ("sub/../../outside.md", "leads out of"),
            ("sub/..", "leads out of"),
            ("out.md", "leads out of"),
            ("out_folder/outside.md", "leads out of"),
            ("hidden.md", "is not a document"),
            ("git.toml", "is not a document"),
            (".env", "is not a document"),
            (".git/config.toml", "is not a document"),
            ("target/out.md", "is not a document"),
            ("sub", "is not a document"),
            ("missing.md", "there is no file"),
            ("READ\0ME.md", "cannot read"),
            ("large.txt", "at most"),
            ("blob.md", "not a text file"),
        ] {
            let error = docs.read(path).expect_err(path).to_string();
            assert!(error.contains(says), "{path:?}: {error:?} should say {says:?}");
            assert!(!error.contains("SECRET"));
        }
        // A link that stays inside is read, under the name of what it leads to.
        #[cfg(unix)]
        assert_eq!(docs.read("inside.md").unwrap().0, "sub/notes.txt");
    }

    #[test]
    fn a_folder_that_cannot_be_used_says_what_to_do() {
        let folder = folder();
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        for (path, says) in [
            (folder.path().join("nowhere"), "cannot open"),
            (folder.path().join("outside.md"), "is not a folder"),
            (empty, "there are no text files"),
        ] {
            let error = Docs::open(&path).expect_err("must fail").to_string();
            assert!(error.contains(says) && error.contains("--docs"), "{error}");
        }
    }
}
