import { defineConfig } from 'vitest/config';
import everyTest from '../../vitest.config.ts';

/** `npm run test:kafka`: the tests that need Java, Maven and Kafka's jars. */
export default defineConfig({
  ...everyTest,
  test: {
    ...everyTest.test,
    include: ['test/kafka/**/*.test.ts'],
    exclude: [],
    globalSetup: ['test/kafka/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
