/**
 * Who may import whom: docs/ARCHITECTURE.md, "Layers", made executable. Think hard about the
 * layering before changing this file. `test/layers.test.ts` plants a violation of every rule.
 */

/** Files that are not in the npm package: tests, beside what they test, and what several tests share. */
const TEST = '[.](test|suite)[.]ts$';
/** The borders of the packages: what package.json exports, and core's door for our own packages. */
const FRONT_DOOR =
  '^((core|core/testing|streams|streams/testing|connect|connect/testing|job|services/connect)/index|core/internal)[.]ts$';

/**
 * One rule a layer: it imports nothing of the layers above it. Folders, from the bottom up; the files
 * at a package's root, but its front door, are below all of them.
 */
function layers(packageName, folders) {
  const root = { folder: 'root', path: `^${packageName}/(?!(index|internal)[.]ts$)[^/]+$` };
  const all = [root, ...folders.map((folder) => ({ folder, path: `^${packageName}/${folder}/` }))];
  return all.slice(0, -1).map(({ folder, path }, index) => ({
    name: `${packageName}-${folder}-is-below-${folders[index]}`,
    comment: `${packageName}: ${['root', ...folders].join(' < ')}`,
    severity: 'error',
    from: { path, pathNot: TEST }, // a test may look at its subject from above
    to: { path: `^${packageName}/(${folders.slice(index).join('|')})/` },
  }));
}

module.exports = {
  forbidden: [
    {
      name: 'front-door',
      comment: 'Cross the border of a package through its index.ts, or core/internal.ts, only.',
      severity: 'error',
      from: { path: '^(core|streams|connect|job|services|cli|examples|bench)/' },
      to: {
        path: '^(core|streams|connect|job|services)/',
        pathNot: ['^$1/', FRONT_DOOR],
      },
    },
    {
      name: 'own-front-door',
      comment: 'Inside a package, import the file itself: its index.ts is for others.',
      severity: 'error',
      from: { path: '^(core|streams|connect|job|services)/', pathNot: [FRONT_DOOR, TEST] },
      to: { path: '^$1/((testing/|connect/)?index|internal)[.]ts$' },
    },
    {
      name: 'core-imports-only-itself',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: '^(streams|connect|job|services|cli|examples|bench)/' },
    },
    {
      name: 'streams-imports-only-core',
      comment: 'streams and connect do not know each other.',
      severity: 'error',
      from: { path: '^streams/' },
      to: { path: '^(connect|job|services|cli|examples|bench)/' },
    },
    {
      name: 'connect-imports-only-core',
      comment: 'streams and connect do not know each other.',
      severity: 'error',
      from: { path: '^connect/' },
      to: { path: '^(streams|job|services|cli|examples|bench)/' },
    },
    {
      name: 'job-is-below-cli',
      severity: 'error',
      from: { path: '^job/' },
      to: { path: '^(services|cli|examples|bench)/' },
    },
    {
      name: 'services-are-below-cli',
      severity: 'error',
      from: { path: '^services/' },
      to: { path: '^(cli|examples|bench)/' },
    },
    {
      name: 'services-share-http',
      comment: 'What all services share knows none of them, and stands on core alone.',
      severity: 'error',
      from: { path: '^services/http/', pathNot: TEST },
      to: { path: '^((streams|connect|job)/|services/(?!http/))' },
    },
    {
      name: 'nothing-stands-on-programs',
      comment: 'cli, examples and bench are programs: only tests look into them.',
      severity: 'error',
      from: { path: '^(cli|examples|bench)/', pathNot: TEST },
      to: { path: '^(cli|examples|bench)/', pathNot: '^$1/' },
    },
    {
      name: 'programs-use-the-package-name',
      comment: "Examples and benchmarks import what users do: 'millrace', 'millrace/streams' ...",
      severity: 'error',
      from: { path: '^(examples|bench)/', pathNot: TEST },
      to: {
        path: '^(core|streams|connect|job|services)/',
        dependencyTypesNot: ['aliased-tsconfig', 'aliased-tsconfig-paths'],
      },
    },
    {
      name: 'packages-use-paths',
      comment:
        "Inside the package, its own name would make the declarations need the package's map.",
      severity: 'error',
      from: { path: '^(core|streams|connect|job|services|cli)/', pathNot: TEST },
      to: { dependencyTypes: ['aliased-tsconfig', 'aliased-tsconfig-paths'] },
    },
    ...layers('core', [
      'serde',
      'record',
      'storage',
      'log',
      'protocol',
      'broker',
      'check',
      'client',
    ]),
    {
      name: 'only-open-log-sees-the-broker',
      comment: 'Clients reach any broker through core/protocol; openLog makes the embedded one.',
      severity: 'error',
      from: { path: '^core/client/', pathNot: ['^core/client/open-log[.]ts$', TEST] },
      to: { path: '^core/(broker|check)/' },
    },
    ...layers('streams', ['topology', 'state', 'operators', 'dsl']),
    {
      name: 'streams-runtime-is-above-topology-and-state',
      comment: 'The runtime drives a topology; what describes one knows nothing of it.',
      severity: 'error',
      from: {
        path: '^streams/((topology|state|operators|dsl)/|(?!index[.]ts$)[^/]+$)',
        pathNot: TEST,
      },
      to: { path: '^streams/runtime/' },
    },
    {
      name: 'streams-runtime-does-not-import-dsl',
      severity: 'error',
      from: { path: '^streams/runtime/', pathNot: TEST },
      to: { path: '^streams/dsl/' },
    },
    {
      name: 'streams-testing-is-for-tests',
      severity: 'error',
      from: { path: '^(streams|job|services|cli|bench)/', pathNot: ['^streams/testing/', TEST] },
      to: { path: '^streams/testing/' },
    },
    {
      name: 'core-testing-is-for-tests',
      severity: 'error',
      from: {
        path: '^(core|streams|connect|job|services|cli|bench)/',
        pathNot: ['^(core|streams|connect)/testing/', TEST],
      },
      to: { path: '^core/testing/' },
    },
    {
      name: 'disk-only-in-storage',
      comment:
        'The disk is a parameter (core/storage/file-system.ts): crashes are simulated there.',
      severity: 'error',
      from: {
        path: '^(core|streams|connect|job|services)/',
        pathNot: ['^core/storage/', '^core/record/codecs/', '^connect/file/', TEST],
      },
      to: { path: '^(node:)?fs(/promises)?$' },
    },
    {
      name: 'lmdb-only-in-state',
      comment: 'Wrapped once, in streams/state: nobody else depends on its rules.',
      severity: 'error',
      from: { pathNot: '^streams/state/' },
      to: { path: '(^|node_modules/)lmdb(/|$)' },
    },
    {
      name: 'shipped-code-needs-no-dev-dependency',
      comment: 'Optional peers are installed here for the tests; only their types are imported.',
      severity: 'error',
      from: { path: '^(core|streams|connect|job|services|cli)/', pathNot: TEST },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'no-import-of-tests',
      severity: 'error',
      from: {},
      to: { path: '[.]test[.]ts$' },
    },
    {
      name: 'tests-are-for-tests',
      comment:
        'Suites and test/ are not in the npm package; nor are bench/kafka and bench/connect.',
      severity: 'error',
      from: { pathNot: ['^test/', '^bench/(kafka|connect)/', TEST] },
      to: { path: ['^test/', '[.]suite[.]ts$'] },
    },
    {
      name: 'tests-share-the-kit',
      comment: 'Of test/, a test that stands beside its code uses the kit only.',
      severity: 'error',
      from: { path: TEST, pathNot: '^test/' },
      to: { path: '^test/', pathNot: '^test/kit/' },
    },
    {
      name: 'no-circular',
      comment: 'Type-only imports count: two files that need each other to be read are one.',
      severity: 'error',
      from: { pathNot: '^streams/dsl/' }, // no way round: a circle through other folders is found
      to: { circular: true },
    },
    {
      name: 'no-circular-dsl',
      comment:
        'Streams make tables and tables streams, so their classes name each other; one file for ' +
        'all of them would be too long. Types alone may go in circles here: when it runs, ' +
        'nothing does.',
      severity: 'error',
      from: { path: '^streams/dsl/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|docs|data)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true, // type-only imports too
    detectJSDocImports: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
