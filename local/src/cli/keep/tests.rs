//! The folder of `--out` holds one run and no foreign files.

use super::*;

#[test]
fn a_folder_keeps_one_run_and_foreign_files_are_refused() {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path().join("out");
    let put = |name: &str| write(&folder.join(name), b"{}").unwrap();
    clear(&folder).unwrap();
    put("notes.txt");
    let error = clear(&folder).unwrap_err().to_string();
    assert!(
        error.contains("something else") && folder.join("notes.txt").is_file(),
        "{error}"
    );
    put("deliveries/1/delivery.json");
    put("deliveries/2/delivery.json");
    put("landfall-exports/run=1/_receipt.json");
    put("logs/moto.log");
    clear(&folder).unwrap();
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["notes.txt"]);
    std::fs::remove_file(folder.join("notes.txt")).unwrap();
    put("logs/a.txt");
    clear(&folder).unwrap_err();
    put("logs/moto.log");
    clear(&folder).unwrap();
}

#[test]
fn nothing_is_kept_outside_of_the_folder() {
    let folder = Path::new("out");
    assert_eq!(below(folder, "a/b=1/c.csv"), Some(PathBuf::from("out/a/b=1/c.csv")));
    for key in ["../x", "/etc/x", "a/../../x", "a/"] {
        assert_eq!(below(folder, key), None, "{key}");
    }
}
