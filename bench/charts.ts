/** Draws the charts and fills the tables of README.md from the results that are kept. */
import { writePages } from './pages.ts';

await writePages();
