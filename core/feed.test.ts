import fc from 'fast-check';
import { ReplaySubject, Subject, type Observable } from 'rxjs';
import { expect, test } from 'vitest';
import { Feed } from './feed.ts';

type Step = number | 'subscribe' | 'complete';

/** What each subscription hears, in the order of subscribing. */
function heard(
  steps: readonly Step[],
  feed: { next(value: number): void; complete(): void; readonly values$: () => Observable<number> },
): (number | 'complete')[][] {
  const all: (number | 'complete')[][] = [];
  for (const step of steps) {
    if (typeof step === 'number') feed.next(step);
    else if (step === 'complete') feed.complete();
    else {
      const one: (number | 'complete')[] = [];
      all.push(one);
      feed.values$().subscribe({
        next: (value) => one.push(value),
        complete: () => one.push('complete'),
      });
    }
  }
  return all;
}

const steps = fc.array(
  fc.oneof(
    { arbitrary: fc.nat(9), weight: 4 },
    { arbitrary: fc.constant<Step>('subscribe'), weight: 3 },
    { arbitrary: fc.constant<Step>('complete'), weight: 1 },
  ),
  { maxLength: 20 },
);

test.each(['none', 'newest'] as const)('a feed with memory %s is a subject of RxJS', (memory) => {
  fc.assert(
    fc.property(steps, (given) => {
      const feed = new Feed<number>(memory);
      const subject = memory === 'none' ? new Subject<number>() : new ReplaySubject<number>(1);
      expect(
        heard(given, {
          next: (value) => feed.next(value),
          complete: () => feed.complete(),
          values$: () => feed.values$,
        }),
      ).toEqual(
        heard(given, {
          next: (value) => subject.next(value),
          complete: () => subject.complete(),
          values$: () => subject,
        }),
      );
    }),
  );
});
