/**
 * Looks for faults that occur once in a million times. It simulates crashes of a log and of all its
 * clients with new seeds, makes each disk operation fail, flips each byte, kills clients a thousand
 * times, and stream applications two hundred times. Ends at the first failure and names the command
 * that repeats it.
 *
 *     npm run soak -- --crashes 1000000 --kills 1000 --application-kills 200 --seed 1 --workers 2
 *     npm run soak -- --service 60
 *
 * The second runs a service for an hour instead (`service-process.ts`).
 *
 * Simulations run in one process per core, kills in one more: their clients mostly wait. All run
 * compiled JavaScript, which starts in a fraction of the time. On SIGTERM and Ctrl-C it prints the
 * counts so far and ends.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { globSync } from 'tinyglobby';
import { compile, compiledFolder, compiledPackage, compiledProgram } from '../kit/compiled.ts';
import { ROOT } from '../kit/root.ts';
import { applicationKills, kills, simulations, Tally } from './plan.ts';
import type { Task } from './tasks.ts';
import type { Message } from './worker.ts';

const PROGRESS_MS = 30_000;

const wanted = readArguments();
const tally = new Tally();
const started = performance.now();
/** Each leads a process group, so that the processes it started end with it. */
const children = new Set<ChildProcess>();
const passed: string[] = [];
let isOver = false;

function readArguments() {
  const { values } = parseArgs({
    options: {
      crashes: { type: 'string', default: '1000000' },
      kills: { type: 'string', default: '1000' },
      'application-kills': { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      workers: { type: 'string', default: String(availableParallelism()) },
      /** Skips the parts that run once: each failure of the disk, and each flipped byte. */
      'only-seeds': { type: 'boolean', default: false },
      /** Minutes; nothing else runs then. */
      service: { type: 'string' },
      rate: { type: 'string', default: '20000' },
    },
  });
  const numbers = {
    crashes: Number(values.crashes),
    kills: Number(values.kills),
    applicationKills: Number(values['application-kills']),
    seed: Number(values.seed),
    workers: Number(values.workers),
  };
  const isFine = (each: number): boolean => Number.isSafeInteger(each) && each >= 0;
  if (!Object.values(numbers).every(isFine) || numbers.workers === 0) {
    console.error(
      'usage: npm run soak -- [--crashes NUMBER] [--kills NUMBER] [--application-kills NUMBER] ' +
        '[--seed NUMBER] [--workers NUMBER] [--only-seeds], or --service MINUTES [--rate NUMBER]',
    );
    process.exit(2);
  }
  const { service, rate } = values;
  return { ...numbers, onlySeeds: values['only-seeds'], service, rate };
}

/** Runs the service, and ends as it does. */
async function serve(minutes: string, rate: string): Promise<never> {
  const program = join(ROOT, 'test/soak/service-process.ts');
  const args = ['--expose-gc', '--import', 'tsx', program, '--minutes', minutes, '--rate', rate];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  process.exit(code ?? 1);
}

/** Runs a program, which must succeed. */
async function run(
  name: string,
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  const env = { ...process.env, ...environment };
  const stdio = ['ignore', 'inherit', 'inherit'] as const;
  const child = spawn(program, args, { cwd: ROOT, env, stdio: [...stdio], detached: true });
  children.add(child);
  const how = await new Promise<string | number | null>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(signal ?? code));
  });
  children.delete(child);
  if (how === 0) return;
  const settings = Object.entries(environment).map(([key, value]) => `${key}=${value} `);
  fail(
    `${name} ended with ${String(how)}`,
    `${settings.join('')}npx vitest ${args.slice(1).join(' ')}`,
  );
}

/** Runs the one-time parts, then simulations on all cores until there are enough crashes. */
async function simulateAll(): Promise<void> {
  const once = wanted.onlySeeds ? [] : [...ONCE, ...sharingTests()];
  let tasks: Iterator<Task, never> | undefined;
  await Promise.all(
    Array.from({ length: wanted.workers }, async () => {
      for (let next = once.shift(); next !== undefined; next = once.shift()) {
        const { name, file, environment } = next;
        await run(name, process.execPath, [VITEST, 'run', file, '--silent'], environment);
        passed.push(name);
      }
      await using worker = await Worker.start();
      tasks ??= simulations(wanted.seed, worker.scripts);
      while (tally.crashes < wanted.crashes && !isOver) await worker.perform(tasks.next().value);
    }),
  );
}

/** A part that runs once. */
interface Once {
  readonly name: string;
  readonly file: string;
  readonly environment: Readonly<Record<string, string>>;
}

const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs');
const ONCE: readonly Once[] = [
  {
    name: 'each operation of the disk failed once',
    file: 'test/simulation/failing-operations.test.ts',
    environment: { FAULT_STRIDE: '1' },
  },
  {
    name: 'each byte of a log was flipped',
    file: 'test/simulation/flipped-bytes.test.ts',
    environment: { FLIP_STRIDE: '1' },
  },
  {
    name: 'each bit of Parquet files was flipped',
    file: 'connect/file/parquet/flips.test.ts',
    environment: { PARQUET_FLIP_STRIDE: '1' },
  },
];

/** The test files that take a share of their cases in `npm test`: all of them here. */
function sharingTests(): Once[] {
  const files = globSync('**/*.test.ts', { cwd: ROOT, ignore: '**/node_modules/**' });
  const environment = { ALL_CASES: '1', SEED: String(wanted.seed), SIM_OUTCOMES: '3' };
  return files
    .filter((file) => SHARES.test(readFileSync(join(ROOT, file), 'utf8')))
    .map((file) => ({ name: `all cases of ${file}`, file, environment }));
}

/** How a test file gets at its share: `shareOf`, or through a suite. */
const SHARES = /kit\/(share|same-after-crashes)[.]ts'/;

async function killAll(): Promise<void> {
  const { seed } = wanted;
  const tasks = [...kills(seed, wanted.kills), ...applicationKills(seed, wanted.applicationKills)];
  if (tasks.length === 0) return;
  await using worker = await Worker.start();
  for (const task of tasks) if (!isOver) await worker.perform(task);
}

/** A process that performs tasks. */
class Worker {
  readonly #child: ChildProcess;
  #settle: (message: Message) => void = () => undefined;
  #task: Task | undefined;
  /** How many scripts the simulation of a log has. */
  scripts = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message: Message) => {
      if (message.event === 'killed') {
        if (this.#task !== undefined) tally.killed(this.#task.kind);
      } else this.#settle(message);
    });
    child.on('exit', (code, signal) => {
      children.delete(child);
      const isReady = this.scripts > 0;
      if (isReady && this.#task === undefined) return;
      const when = isReady ? `at ${JSON.stringify(this.#task)}` : 'before it was ready';
      fail(`a worker ended with ${String(signal ?? code)} ${when}`);
    });
  }

  static async start(): Promise<Worker> {
    // Thousands of errors are created and their stacks rarely read: the command that repeats a
    // failure shows one.
    const execArgv = ['--stack-trace-limit=0', '--max-semi-space-size=64'];
    const env = { ...process.env, VERIFY: '1' };
    const child = fork(compiledProgram('test/soak/worker.ts'), { execArgv, env, detached: true });
    children.add(child);
    const worker = new Worker(child);
    const ready = await new Promise<Message>((resolve) => (worker.#settle = resolve));
    if (ready.event === 'ready') worker.scripts = ready.scripts;
    return worker;
  }

  async perform(task: Task): Promise<void> {
    this.#task = task;
    this.#child.send(task);
    const message = await new Promise<Message>((resolve) => (this.#settle = resolve));
    this.#task = undefined;
    if (message.event === 'failed') fail(message.reason, message.command);
    if (message.event === 'done') tally.add(task, message.crashes, message.cpuMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#child.disconnect();
    return Promise.resolve();
  }
}

function fail(reason: string, command?: string): void {
  if (isOver) return;
  console.error(`\nFAILED: ${reason}`);
  if (command !== undefined) console.error(`To repeat it: ${command}`);
  end('FAILED', 1);
}

/** Prints the counts, and ends the process and its children. */
function end(how: string, code: number): void {
  if (isOver) return;
  isOver = true;
  console.log(`\nsoak ${how}, after ${elapsed()}: ${tally.brief()}`);
  for (const line of [...tally.table(), ...passed.map((name) => `  ${name}`)]) console.log(line);
  for (const { pid } of children) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  rmSync(compiledPackage(), { recursive: true });
  process.exitCode = code;
  process.exit();
}

function elapsed(): string {
  const seconds = Math.round((performance.now() - started) / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

if (wanted.service !== undefined) await serve(wanted.service, wanted.rate);
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => end(`ended by ${signal}`, signal === 'SIGTERM' ? 143 : 130));
}
await compile(compiledFolder());
const progress = setInterval(() => console.log(`${elapsed()}  ${tally.brief()}`), PROGRESS_MS);
await Promise.all([simulateAll(), killAll()]);
clearInterval(progress);
end('passed', 0);
