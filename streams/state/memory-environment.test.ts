import type { EnvironmentKind } from './environment.suite.ts';
import { environmentSuite } from './environment.suite.ts';
import { MemoryEnvironment } from './memory-environment.ts';
import { rangesSuite } from './ranges.suite.ts';
import { storesSuite } from './stores.suite.ts';

const kind: EnvironmentKind = {
  name: 'memory',
  share: 1,
  place: () => {
    const environment = new MemoryEnvironment();
    return { open: () => Promise.resolve(environment) };
  },
};

environmentSuite(kind);
storesSuite(kind);
rangesSuite(kind);
