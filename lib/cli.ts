#!/usr/bin/env node
// The same program for who starts it by this name.
import './shoal.js';
