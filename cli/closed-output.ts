/** As shells report a program that SIGPIPE has ended: 128 + 13. */
const EXIT_BY_SIGPIPE = 141;
const FAILED = 1;

/** The command changes something: it goes on to its end, also when nobody reads what it prints. */
let isAtWork = false;
let hasComplained = false;

/**
 * Listens to what becomes of the output. Behind `| head -1` a command that only prints ends, as
 * Unix tools do: quietly, and as if by SIGPIPE, which Node ignores. Without this, the next line
 * ends any command with an exception.
 */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') {
      if (!isAtWork) process.exit(EXIT_BY_SIGPIPE);
      return;
    }
    // Such as a file on a full disk.
    if (!hasComplained) process.stderr.write(`millrace: cannot print: ${error.message}\n`);
    hasComplained = true;
    process.exitCode = FAILED;
    if (!isAtWork) process.exit();
  });
  // Where this would be said is gone.
  process.stderr.on('error', () => undefined);
}

/** From here on the command changes something, and is not to end before it is done. */
export function keepWorking(): void {
  isAtWork = true;
}
