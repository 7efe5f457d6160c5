import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog, silentLogger } from '../../core/index.ts';
import { execute, rowsOf } from '../../test/kit/sqlite.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { BUILT_IN_PLUGINS } from '../worker/built-in-plugins.ts';
import { ConnectWorker } from '../worker/worker.ts';

test('[CONNECT-SQLITE-14] a worker runs both by configuration', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const [from, to] = ['in.db', 'out.db'].map((name) => join(temporaryDirectory(), name));
  execute(
    from!,
    "CREATE TABLE a (id INTEGER, x BLOB); INSERT INTO a VALUES (1, x'00ff'), (2, 0)",
  )();
  await using worker = new ConnectWorker(log, { plugins: BUILT_IN_PLUGINS, logger: silentLogger });
  await worker.start();
  await worker.create({
    name: 'in',
    connector: 'sqlite-source',
    config: {
      path: from,
      table: 'a',
      topic: 't',
      incrementingColumn: 'id',
      key: 'id',
      follow: true,
      pollIntervalMs: 10,
      startAfter: { incrementing: 0 },
    },
  });
  await worker.create({
    name: 'out',
    connector: 'sqlite-sink',
    config: { path: to, topic: 't', create: { id: 'INTEGER', x: 'ANY' } },
  });
  const rows = (): unknown => {
    try {
      return rowsOf(to!, 'SELECT * FROM t ORDER BY id');
    } catch {
      return undefined; // it is not there yet
    }
  };
  await expect.poll(rows, { timeout: 20_000 }).toEqual([
    [1n, 'AP8='],
    [2n, 0n],
  ]);
});
