import { expect, test } from 'vitest';
import { DIFFERENCES } from './kafka/connect/transform-differences.ts';
import { RULE_IDS } from './kafka/streams/rules.ts';
import { readText } from './tidy/source.ts';

test('[STREAMS-KAFKA-2] KAFKA-DIFFERENCES lists the rules of the comparison, with examples', () => {
  const sections = readText('docs/KAFKA-DIFFERENCES.md').split(/^## /m).slice(1);
  const listed = new Set<string>(); // a rule may have cases in several sections
  for (const section of sections) {
    const rules = [...section.matchAll(/Rule:\s+`([A-Z-]+)`/g)].map(([, id]) => id!);
    for (const rule of rules) listed.add(rule);
    const hasExample = /^```|^\|/m.test(section);
    if (rules.length > 0) expect(hasExample, section.split('\n')[0]).toBe(true);
  }
  expect([...listed].sort()).toEqual([...RULE_IDS].sort());
});

test('[CONNECT-KAFKA-2] KAFKA-DIFFERENCES lists the differences of transforms', () => {
  const [, section = ''] = readText('docs/KAFKA-DIFFERENCES.md').split(
    '## Kafka Connect: transforms',
  );
  const [table = ''] = section.split('\n## ');
  const listed = [...table.matchAll(/^\| `([A-Z-]+)`/gm)].map(([, id]) => id!);
  expect(listed.sort()).toEqual(DIFFERENCES.map(({ id }) => id).sort());
});
