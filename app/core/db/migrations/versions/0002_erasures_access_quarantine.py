"""Erasures, access lists, quarantine."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('acls',
    sa.Column('tenant', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('collection', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('document_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('principals', sa.JSON(), nullable=True),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('updated_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('collection', 'document_id', name=op.f('pk_acls'))
    )
    with op.batch_alter_table('acls', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_acls_epoch'), ['epoch'], unique=False)
        batch_op.create_index(batch_op.f('ix_acls_tenant'), ['tenant'], unique=False)

    op.create_table('erasures',
    sa.Column('tenant', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('collection', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('document_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('erased_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('restored_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('receipt', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_erasures'))
    )
    with op.batch_alter_table('erasures', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_erasures_collection'), ['collection'], unique=False)
        batch_op.create_index(batch_op.f('ix_erasures_document_id'), ['document_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_erasures_tenant'), ['tenant'], unique=False)

    op.create_table('quarantine',
    sa.Column('tenant', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('collection', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('source', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('place', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('target', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('uri', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('code', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('first_seen', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('last_seen', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('collection', 'source', 'place', name=op.f('pk_quarantine'))
    )
    with op.batch_alter_table('quarantine', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_quarantine_tenant'), ['tenant'], unique=False)

    with op.batch_alter_table('answer_contents', schema=None) as batch_op:
        batch_op.add_column(sa.Column('filters', sa.JSON(), server_default=sa.text("'{}'"), nullable=False))
        batch_op.add_column(sa.Column('erased_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))

    with op.batch_alter_table('collections', schema=None) as batch_op:
        batch_op.add_column(sa.Column('acl_required', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('collections', schema=None) as batch_op:
        batch_op.drop_column('acl_required')

    with op.batch_alter_table('answer_contents', schema=None) as batch_op:
        batch_op.drop_column('erased_at')
        batch_op.drop_column('filters')

    with op.batch_alter_table('quarantine', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_quarantine_tenant'))

    op.drop_table('quarantine')
    with op.batch_alter_table('erasures', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_erasures_tenant'))
        batch_op.drop_index(batch_op.f('ix_erasures_document_id'))
        batch_op.drop_index(batch_op.f('ix_erasures_collection'))

    op.drop_table('erasures')
    with op.batch_alter_table('acls', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_acls_tenant'))
        batch_op.drop_index(batch_op.f('ix_acls_epoch'))

    op.drop_table('acls')
