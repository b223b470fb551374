-- Names that operators give to platform connections (boris-ingestd connection create --label), for output only.
CREATE TABLE boris_ingestd_connection_labels (
    connection_id uuid PRIMARY KEY REFERENCES platform_connections (id) ON DELETE CASCADE,
    label text NOT NULL CHECK (char_length(label) BETWEEN 1 AND 80)
);
