/**
 * The results page, in the order in which a number meets it:
 *
 *   clients        the router's services over Connect
 *   tally-watch    frames of one region, taken up again when the stream breaks
 *   results-model  what a frame says, in words        shard-model  what the mesh says
 *   audit-model    how far an auditor has verified    findings-view  what it found
 *   results-view   totals, contests, table of regions shard-view     a line a shard
 *   page           the page's life: election, region, address
 */
import { openClients } from "./clients.ts";
import { Page } from "./page.ts";

await new Page(openClients(location.origin)).open();
