// Runs the cells, beside the page (serve.js), on the lesson's small wasm.
import init from "./pkg/fourstep_how.js";
import * as chance from "./run-chance.js";
import * as classifier from "./run-classifier.js";
import * as clouds from "./run-clouds.js";
import * as numbers from "./run-numbers.js";
import * as pictures from "./run-pictures.js";
import { serve } from "./serve.js";

serve({ ...chance, ...classifier, ...clouds, ...numbers, ...pictures }, init());
