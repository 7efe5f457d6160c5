import type { Contender, Plan, Reading, Workload } from './workloads.ts';
import { sinceStart } from './workloads.ts';

/**
 * An application with state is killed by SIGKILL and started again at once, `rounds` times. It has
 * read each key once; short rows of one key in a hundred are the work to go on with. The rounds of
 * a contender follow each other: a Kafka group remembers the dead member for its session, and the
 * next one has to come at once.
 */
export async function measureRestarts(
  { title }: Workload,
  { name, side, change }: Contender,
  plan: Plan,
  run: string,
  rounds: number,
): Promise<Reading[]> {
  const task = { ...plan, ...change, run };
  const readings: Reading[] = [];
  try {
    const filler = side.start({ ...task, step: 'fill' });
    await filler.until('filled');
    await filler.end();
    const first = side.start({ ...task, step: 'run' });
    await first.until('full');
    await first.kill();
    for (let round = 0; round < rounds; round++) {
      const next = side.start({ ...task, step: 'run' });
      await next.until('first commit');
      await next.kill();
      readings.push(...sinceStart(title, name, next));
    }
    return readings;
  } finally {
    side.clean(run);
  }
}
