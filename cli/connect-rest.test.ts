import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { millrace, startMillrace, type Ended, type Running } from '../test/kit/command.ts';
import { until } from '../test/kit/connect-rest.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

/** A worker in a process of its own, and where it is served. */
interface Served {
  readonly running: Running;
  readonly url: string;
}

async function serve(directory: string, ...args: readonly string[]): Promise<Served> {
  const flags = ['--rest', '0', '--json', '--allow-root', directory];
  const running = startMillrace(directory, 'connect', 'run', ...args, ...flags);
  onTestFinished(() => void running.child.kill('SIGKILL'));
  const served = (): string | undefined => /"type":"rest","url":"([^"]+)"/.exec(running.out())?.[1];
  await until(() => served() !== undefined || running.child.exitCode !== null);
  expect(running.err()).toBe('');
  return { running, url: served()! };
}

/** The lines of a sink's files, which are texts as JSON. */
function linesIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const files = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
  return files.flatMap((name) => {
    const lines = readFileSync(join(directory, name), 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as string);
  });
}

test('[CONNECT-REST-11] commands look after connectors; they outlive kill -9', async () => {
  const directory = temporaryDirectory();
  const [input, out] = [join(directory, 'in.txt'), join(directory, 'out')];
  writeFileSync(input, 'one\ntwo\n');
  const source = { path: input, format: 'lines', topic: 'lines', follow: true, pollIntervalMs: 10 };
  const converters = { keyConverter: 'string', valueConverter: 'string' };
  const file = join(directory, 'connectors.json');
  const connectors = [
    { name: 'in', connector: 'file-source', config: source, ...converters, commitIntervalMs: 10 },
  ];
  writeFileSync(file, JSON.stringify({ connectors }));
  const sink = join(directory, 'sink.json');
  const config = {
    ...{ 'connector.class': 'file-sink', topics: 'lines', path: out, format: 'jsonl' },
    ...{ 'commit.interval.ms': 10, 'value.converter': 'StringConverter' },
  };
  writeFileSync(sink, JSON.stringify({ name: 'out', config }));

  let { running, url } = await serve(directory);
  const connect = (...args: readonly string[]): Ended =>
    millrace(directory, 'connect', ...args, '--url', url);
  expect(connect('list')).toMatchObject({ code: 0, out: 'there are no connectors\n' });
  expect(connect('create', file)).toMatchObject({ code: 0, out: 'in: created\n', err: '' });
  expect(connect('create', sink)).toMatchObject({ code: 0, out: 'out: created\n', err: '' });
  await until(() => linesIn(out).length === 2);

  running.child.kill('SIGKILL');
  await running.ended;
  appendFileSync(input, 'three\n');
  ({ running, url } = await serve(directory));
  await until(() => linesIn(out).length === 3);
  expect(linesIn(out)).toEqual(['one', 'two', 'three']); // each once
  expect(connect('list').out).toBe('in (source): RUNNING, 1 task\nout (sink): RUNNING, 1 task\n');
  expect(connect('status', 'out').out).toBe('out (sink): RUNNING, 1 task\n  task 0: RUNNING\n');
  expect(connect('create', sink).out).toBe('out: changed\n');
  expect(connect('pause', 'in').out).toBe('in (source): PAUSED, 1 task\n');
  expect(connect('resume', 'in').out).toBe('in (source): RUNNING, 1 task\n');
  expect(connect('restart', 'in', '--only-failed').out).toContain('RUNNING');
  expect(connect('restart', 'in').out).toContain('RESTARTING');

  const early = connect('offsets', 'in', '--reset');
  expect(early).toMatchObject({ code: 1, err: expect.stringContaining('STOPPED state') as string });
  expect(connect('stop', 'in').out).toBe('in (source): STOPPED, 0 tasks\n');
  const [offset] = connect('offsets', 'in', '--json').out.trim().split('\n');
  expect(connect('offsets', 'in', '--reset').out).toBe('in has no offsets\n');
  expect(connect('offsets', 'in', '--set', offset!, '--json').out.trim()).toBe(offset);
  expect(connect('delete', 'in').out).toBe('in: deleted; its offsets stay\n');
  expect(connect('status', 'in')).toMatchObject({
    ...{ code: 1, err: expect.stringContaining('No status found for connector in') as string },
  });
  expect(connect('plugins').out).toMatch(/^file-sink \(sink\)$/m);
  expect(connect('plugins', 'file-sink').out).toMatch(/^path: A directory/m);
  running.child.kill('SIGTERM');
  expect(await running.ended).toBe(143);
  const gone = connect('list', '--json');
  expect(gone.code).toBe(1);
  expect(gone.err).toMatch(/nothing answers at http[^]*--rest[^]*\(HTTP_UNAVAILABLE\)/);
  expect(JSON.parse(gone.out)).toMatchObject({ type: 'error', code: 'HTTP_UNAVAILABLE' });
}, 180_000);

test('[CONNECT-REST-11] connect run tells why it cannot serve', async () => {
  const directory = temporaryDirectory();
  const { url } = await serve(directory);
  const { port } = new URL(url);
  const other = join(directory, 'other');
  const taken = millrace(directory, 'connect', 'run', '--rest', port, '--data', other);
  expect(taken.code).toBe(1);
  expect(taken.err).toContain('(SERVICE_UNAVAILABLE)');
  const neither = millrace(directory, 'connect', 'run', '--data', other);
  expect(neither).toMatchObject({
    code: 1,
    err: expect.stringContaining('give a file, or --rest') as string,
  });
}, 60_000);
