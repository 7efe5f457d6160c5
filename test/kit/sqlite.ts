import Database from 'libsql';

/** What a query finds in a file of SQLite: integers are bigints. */
export function rowsOf(path: string, sql: string): readonly (readonly unknown[])[] {
  const database = new Database(path);
  try {
    return database.prepare(sql).raw(true).safeIntegers(true).all() as unknown[][];
  } finally {
    database.close();
  }
}

/** Runs statements; returns what closes the file, and so ends a transaction that they begin. */
export function execute(path: string, sql: string): () => void {
  const database = new Database(path);
  database.exec(sql);
  let isOpen = true;
  return () => {
    if (isOpen) database.close();
    isOpen = false;
  };
}
