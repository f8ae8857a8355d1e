-- Format 13. Keys are everywhere in their index: one of their beginnings has fewer pages, and a run writes fewer of them.

DROP INDEX items_by_key;
CREATE INDEX items_by_beginning ON items (substr(key, 1, 8));
