import { Option, type Command } from 'commander';
import {
  connectChangeCommand,
  connectCreateCommand,
  connectDeleteCommand,
  connectListCommand,
  connectOffsetsCommand,
  connectRestartCommand,
  connectStatusCommand,
} from './connect-client.ts';
import { connectPluginsCommand, connectRunCommand, connectValidateCommand } from './connect.ts';
import { portNumber, seconds } from './run.ts';

const CONNECTORS_HELP = 'YAML, JSON, or a module with a default export: { "connectors": [...] }';
const URL_HELP = 'where the REST service of a worker is';
const DEFAULT_URL = 'http://127.0.0.1:8083';

/** Adds `millrace connect` and its commands. */
export function addConnectCommands(program: Command): void {
  const connect = program
    .command('connect')
    .description('connectors: run those of a file, check it, and look after those that run');
  addLocalCommands(connect);
  addClientCommands(connect);
}

/** What needs no worker that runs. */
function addLocalCommands(connect: Command): void {
  connect
    .command('run')
    .description('run connectors to their ends, or until Ctrl-C; the next run goes on')
    .argument('[file]', `${CONNECTORS_HELP}; with --rest it may be left out`)
    .option('--data <directory>', 'where log and offsets are kept', './data')
    .option('--json', 'print states, and a summary of each connector, as a line of JSON')
    .option('--stop-timeout <seconds>', 'how long ending may take', seconds, 5)
    .option(
      '--rest <port>',
      "serve Kafka Connect's REST API at this port, 0 for any, until Ctrl-C",
      portNumber,
    )
    .option('--rest-host <address>', 'at which address, such as 0.0.0.0', '127.0.0.1')
    .option(
      '--allow-root <directory>',
      'connectors by REST may name paths below it; may be repeated (default: none)',
      (directory: string, all: readonly string[]) => [...all, directory],
      [],
    )
    .action(connectRunCommand);

  connect
    .command('validate')
    .description('print every mistake in a file of connectors; runs nothing')
    .argument('<file>', CONNECTORS_HELP)
    .option('--json', 'print a line of JSON for each connector')
    .action(connectValidateCommand);

  connect
    .command('plugins')
    .description('list connectors, transforms and predicates, or what the config of one may say')
    .argument('[name]', 'the name of one')
    .option('--json', 'print a line of JSON for each')
    .option('--url <url>', `${URL_HELP} whose plugins are listed (default: those of this program)`)
    .action(connectPluginsCommand);
}

/** What asks the REST service of a worker. */
function addClientCommands(connect: Command): void {
  asking(connect.command('create'))
    .description('create the connectors of a file, or change those that there are')
    .argument('<file>', `${CONNECTORS_HELP}, or what POST /connectors takes`)
    .addOption(
      new Option('--state <state>', 'what new ones are to do').choices([
        ...['running', 'paused', 'stopped'],
      ]),
    )
    .action(connectCreateCommand);
  asking(connect.command('list')).description('list connectors').action(connectListCommand);
  asking(connect.command('status'))
    .description('print what a connector and its tasks do')
    .argument('<name>', 'the connector')
    .action(connectStatusCommand);
  for (const action of ['pause', 'resume', 'stop'] as const) {
    asking(connect.command(action))
      .description(`${action} a connector`)
      .argument('<name>', 'the connector')
      .action(connectChangeCommand(action));
  }
  asking(connect.command('restart'))
    .description('end a connector and its tasks, and begin again')
    .argument('<name>', 'the connector')
    .option('--only-failed', 'only if it has failed')
    .action(connectRestartCommand);
  asking(connect.command('delete'))
    .description('end a connector and forget it')
    .argument('<name>', 'the connector')
    .action(connectDeleteCommand);
  asking(connect.command('offsets'))
    .description('print how far a connector has come; change that of one that is stopped')
    .argument('<name>', 'the connector')
    .option('--reset', 'forget it: the connector begins at the start')
    .option('--set <json>', '{"partition": {...}, "offset": {...}}, a list of such, or a file')
    .action(connectOffsetsCommand);
}

/** The flags of those that ask a service. */
function asking(command: Command): Command {
  return command
    .option('--url <url>', URL_HELP, DEFAULT_URL)
    .option('--json', 'print what the service answers as JSON');
}
