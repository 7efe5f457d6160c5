/** The exit code that shells report after SIGPIPE: 128 + 13. */
const EXIT_BY_SIGPIPE = 141;
const FAILED = 1;

/**
 * Set if the command changes something: it then runs to its end, even if nobody reads its output.
 */
let isAtWork = false;
let hasComplained = false;

/**
 * Handles a closed output. Under `| head -1` a command that only prints ends as Unix tools do:
 * quietly, as if by SIGPIPE, which Node ignores. Without this, printing the next line would end any
 * command with an exception.
 */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') {
      if (!isAtWork) process.exit(EXIT_BY_SIGPIPE);
      return;
    }
    // For example, a file on a full disk.
    if (!hasComplained) process.stderr.write(`millrace: cannot print: ${error.message}\n`);
    hasComplained = true;
    process.exitCode = FAILED;
    if (!isAtWork) process.exit();
  });
  // There is nowhere left to report this.
  process.stderr.on('error', () => undefined);
}

/** From here on the command changes something and must not end before it is done. */
export function keepWorking(): void {
  isAtWork = true;
}
