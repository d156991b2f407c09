"""An analysis as files: tables, traces, pictures and one page, in a folder that is written whole or not at all."""
