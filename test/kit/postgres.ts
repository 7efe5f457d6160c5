import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { PostgresClient } from '../../connect/postgres/postgres-client.ts';
import { systemClock } from '../../core/index.ts';

/** A PostgreSQL of its own, on a port of the loopback interface. */
export interface Postgres {
  readonly port: number;
  /** What the connectors take. */
  readonly connection: {
    readonly host: string;
    readonly port: number;
    readonly database: string;
    readonly user: string;
  };
  /** Runs a statement, and returns its rows as text, numbers and null. */
  query(sql: string): Promise<readonly (readonly unknown[])[]>;
  /**
   * Kills the processes that serve connectors, with SIGKILL: the server then drops all connections
   * and recovers. Returns how many there were; it blocks this process.
   */
  killBackends(): number;
  /** Ends it, and removes its files. */
  stop(): Promise<void>;
}

/** The programs of Debian's package; another place can be named. */
function programs(): string | undefined {
  const given = process.env['POSTGRES_BIN'];
  if (given !== undefined) return given;
  const root = '/usr/lib/postgresql';
  const [newest] = existsSync(root) ? readdirSync(root).sort().reverse() : [];
  return newest === undefined ? undefined : join(root, newest, 'bin');
}

/** PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`. */
function owner(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const { stdout } = spawnSync('id', ['-u', 'postgres'], { encoding: 'utf8' });
  const uid = stdout.trim() === '' ? 65_534 : Number(stdout);
  return { uid, gid: uid };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * Starts a PostgreSQL with an empty database `test`; undefined, with a line that says so, where
 * none is installed. Whoever starts it stops it.
 */
export async function startPostgres(): Promise<Postgres | undefined> {
  const bin = programs();
  if (bin === undefined || !existsSync(join(bin, 'initdb'))) {
    process.stderr.write('PostgreSQL is not installed: its tests are skipped\n');
    return undefined;
  }
  const directory = mkdtempSync(join(tmpdir(), 'millrace-postgres-'));
  const as = owner();
  if (as.uid !== undefined) chownSync(directory, as.uid, as.uid);
  const data = join(directory, 'data');
  const init = ['-D', data, '-U', 'tester', '-A', 'trust', '-E', 'UTF8', '--no-sync'];
  const made = spawnSync(join(bin, 'initdb'), init, { ...as, encoding: 'utf8', cwd: directory });
  if (made.status !== 0) throw new TypeError(`initdb: ${made.stderr}`);
  const port = await freePort();
  const start = () => {
    const settings = ['-p', String(port), '-k', directory, '-c', 'listen_addresses=127.0.0.1'];
    const child = spawn(join(bin, 'postgres'), ['-D', data, ...settings, '-c', 'fsync=off'], {
      ...{ ...as, stdio: 'ignore', cwd: directory },
    });
    return child;
  };
  const server = start();
  const connection = { host: '127.0.0.1', port, user: 'tester', database: 'test' };
  const query = async (
    sql: string,
    database = 'test',
  ): Promise<readonly (readonly unknown[])[]> => {
    const { signal } = new AbortController();
    const place = { ...connection, database };
    const client = await PostgresClient.open(place, { clock: systemClock, signal });
    try {
      // Of several statements there are several results.
      const { rows } = (await client.query('read', sql)) as {
        readonly rows?: readonly (readonly unknown[])[];
      };
      return rows ?? [];
    } finally {
      await client.close();
    }
  };
  const untilReady = async (): Promise<void> => {
    for (let attempt = 0; ; attempt++) {
      try {
        await query('SELECT 1', 'postgres');
        return;
      } catch (cause) {
        if (attempt > 600) throw cause;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  await untilReady();
  await query('CREATE DATABASE test', 'postgres');
  const stop = async (): Promise<void> => {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGQUIT');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  const killBackends = (): number => {
    const sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'millrace'";
    const place = ['-h', '127.0.0.1', '-p', String(port), '-U', 'tester', '-d', 'test'];
    const { stdout } = spawnSync(join(bin, 'psql'), [...place, '-Atc', sql], { encoding: 'utf8' });
    const pids = stdout.split('\n').filter((pid) => pid !== '');
    for (const pid of pids) process.kill(Number(pid), 'SIGKILL');
    return pids.length;
  };
  return { port, connection, query, killBackends, stop };
}

/** A new schema of the database for one test; it goes with the test. */
export async function schemaOf(server: Postgres, name: string): Promise<void> {
  await server.query(`DROP SCHEMA IF EXISTS ${name} CASCADE; CREATE SCHEMA ${name}`);
  onTestFinished(async () => {
    await server.query(`DROP SCHEMA ${name} CASCADE`);
  });
}
