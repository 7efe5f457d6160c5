import { defineConfig } from 'vitest/config';
import everyTest from '../../vitest.config.ts';

/** Without the projects, which would run their own tests instead of these. */
const settings = { ...everyTest.test };
delete settings.projects;

/** `npm run test:kafka`: the tests that need Java, Maven and Kafka's jars. */
export default defineConfig({
  ...everyTest,
  test: {
    ...settings,
    maxWorkers: 1, // a broker takes the other core
    include: ['test/kafka/**/*.test.ts'],
    exclude: [],
    globalSetup: ['test/kafka/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
